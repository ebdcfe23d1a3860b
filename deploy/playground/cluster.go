package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	clusterPrefix = "cluster-"
	// pollInterval is short: it is most of what waiting adds to a start.
	pollInterval = 50 * time.Millisecond
)

// Users of a cluster. All are administrators (system:masters); their names tell
// them apart in the audit log.
const (
	userAdmin      = "admin" // whoever has the kubeconfig
	userPlayground = "playground"
	userManager    = "system:kube-controller-manager"
	userScheduler  = "system:kube-scheduler"
	userKwok       = "kwok"
)

//go:embed config/audit-policy.yaml
var auditPolicy []byte

// cluster is one control plane and its simulated nodes.
type cluster struct {
	name      string // also its context in the kubeconfig
	dir       string // where its data and logs are
	nodes     int
	pki       pki
	tokens    map[string]string // by user
	etcd, api port
	client    kubernetes.Interface
	kubelet   *kubelet
	alive     *os.File // what components watch; see endWithParent
	processes map[string]*process
	died      chan<- *process // told of every component that ended
	progress  func(format string, args ...any)
}

// prepare reserves what the cluster needs, and writes what its components read.
func (c *cluster) prepare() error {
	c.processes, c.tokens = map[string]*process{}, map[string]string{}
	for _, user := range []string{userAdmin, userPlayground, userManager, userScheduler, userKwok} {
		c.tokens[user] = rand.Text()
	}
	var err error
	if c.pki, err = newPKI(); err != nil {
		return err
	}
	if c.etcd, err = reservePort(); err != nil {
		return err
	}
	if c.api, err = reservePort(); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.restConfig(userPlayground)); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if c.kubelet, err = newKubelet(c.client, c.pki); err != nil {
		return err
	}
	return c.writeFiles()
}

func (c *cluster) writeFiles() error {
	stages, err := stageFile()
	if err != nil {
		return err
	}
	var users strings.Builder
	for user, token := range c.tokens {
		fmt.Fprintf(&users, "%s,%s,%s,system:masters\n", token, user, user)
	}
	files := map[string][]byte{
		"ca.crt": c.pki.authority, "serving.crt": c.pki.serving, "serving.key": c.pki.servingKey,
		"accounts.key": c.pki.accounts, "users.csv": []byte(users.String()), "audit-policy.yaml": auditPolicy,
		"kwok.yaml": stages, "kube-scheduler.yaml": schedulerConfig(),
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("making the cluster's directory: %w", err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o600); err != nil {
			return fmt.Errorf("writing the cluster's files: %w", err)
		}
	}
	for _, user := range []string{userManager, userScheduler, userKwok} {
		if err := writeKubeconfig(filepath.Join(c.dir, kubeconfigOf(user)), user, c); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfigOf is the file, in the cluster's directory, that a component
// connects with.
func kubeconfigOf(user string) string { return strings.TrimPrefix(user, "system:") + ".kubeconfig" }

func (c *cluster) restConfig(user string) *rest.Config {
	return &rest.Config{
		Host: "https://" + c.api.String(), BearerToken: c.tokens[user],
		TLSClientConfig: rest.TLSClientConfig{CAData: c.pki.authority}, QPS: -1,
	}
}

// start starts the cluster and returns when pods can be created and run.
func (c *cluster) start(ctx context.Context) error {
	for _, component := range []string{"etcd", "kube-apiserver"} {
		if err := c.launch(component); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "kube-apiserver", c.served); err != nil {
		return err
	}
	c.progress("%s: the API server is ready", c.name)
	for _, component := range []string{"kwok", "kube-controller-manager", "kube-scheduler"} {
		if err := c.launch(component); err != nil {
			return err
		}
	}
	c.kubelet.start()
	if err := c.createNodes(ctx); err != nil {
		return err
	}
	if err := c.createStorageClass(ctx); err != nil {
		return err
	}
	if err := c.await(ctx, "kwok", c.nodesReady); err != nil {
		return err
	}
	c.progress("%s: nodes are ready", c.name)
	if err := c.await(ctx, "kube-controller-manager", c.usable); err != nil {
		return err
	}
	c.progress("%s: pods can run", c.name)
	return nil
}

func (c *cluster) launch(component string) error {
	p, err := startProcess(c.name+": "+component, c.dir, c.alive, component, c.flags(component)...)
	if err != nil {
		return err
	}
	c.processes[component] = p
	go func() {
		<-p.done
		c.died <- p
	}()
	return nil
}

// await polls until ready returns nil. If the context ends first, the error
// says what was missing last, with the end of the component's log.
func (c *cluster) await(ctx context.Context, component string, ready func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var missing error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || missing == nil {
			missing = err
		}
		select {
		case <-ctx.Done():
			p := c.processes[component]
			return fmt.Errorf("%s: %w%s", p.name, missing, p.tail())
		case <-ticker.C:
		}
	}
}

// stop ends every component that was started.
func (c *cluster) stop() {
	if c.kubelet != nil {
		c.kubelet.stop()
	}
	for _, p := range c.processes {
		p.stop()
	}
	c.etcd.release()
	c.api.release()
}
