package main

import "fmt"

// flags are what a component is started with, in the cluster's directory. What
// isn't here is the default, so that a cluster behaves as a real one does.
func (c *cluster) flags(component string) []string {
	switch component {
	case "etcd":
		return []string{"--dir=etcd", "--listen=http://" + c.etcd.String()}
	case "kube-apiserver":
		return c.serverFlags()
	case "kube-controller-manager":
		return []string{
			"--kubeconfig=" + kubeconfigOf(userManager),
			"--service-account-private-key-file=accounts.key",
			"--root-ca-file=ca.crt",
			"--leader-elect=false",
			"--secure-port=0",
			"--kube-api-qps=500", "--kube-api-burst=1000", // the defaults delay large applies
		}
	case "kube-scheduler":
		return []string{"--config=kube-scheduler.yaml", "--secure-port=0"}
	case "kwok":
		return []string{
			"--kubeconfig=" + kubeconfigOf(userKwok),
			"--config=kwok.yaml",
			"--manage-all-nodes=true",
			"--node-lease-duration-seconds=40",
			"--cidr=10.128.0.1/9", // of pods
		}
	}
	panic("no component is called " + component)
}

func (c *cluster) serverFlags() []string {
	return []string{
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.api.number),
		"--permit-port-sharing=true", // up holds the port
		"--etcd-servers=http://" + c.etcd.String(),
		"--tls-cert-file=serving.crt",
		"--tls-private-key-file=serving.key",
		"--token-auth-file=users.csv",
		"--authorization-mode=RBAC",
		"--allow-privileged=true", // as installers set it: system pods need it
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=accounts.key",
		"--service-account-signing-key-file=accounts.key",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--kubelet-certificate-authority=ca.crt",
		"--kubelet-preferred-address-types=InternalIP",
		"--endpoint-reconciler-type=none", // an endpoint can't be on loopback
		"--audit-policy-file=audit-policy.yaml",
		"--audit-log-path=audit.log",
		"--audit-log-mode=blocking", // an entry is in the file before its request is answered
		"--audit-log-maxsize=10000", // MB; rotation would hide entries
	}
}
