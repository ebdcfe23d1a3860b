package main

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const kubeconfigName = "kubeconfig"

// writeKubeconfig writes a file, readable by this user alone, with a context
// for each cluster; the first is the current one. It needs no other file and no
// program to be used.
func writeKubeconfig(file, user string, clusters ...*cluster) error {
	config := api.NewConfig()
	config.CurrentContext = clusters[0].name
	for _, c := range clusters {
		config.Clusters[c.name] = &api.Cluster{Server: "https://" + c.api.String(), CertificateAuthorityData: c.pki.authority}
		config.AuthInfos[c.name] = &api.AuthInfo{Token: c.tokens[user]}
		config.Contexts[c.name] = &api.Context{Cluster: c.name, AuthInfo: c.name}
	}
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}
