package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-scheduler/framework"
)

// pendingPlugin is a part of the scheduler that finds every node too small for
// a pod that is to stay pending. What the pod then looks like is the
// scheduler's own doing.
type pendingPlugin struct{}

const pendingName = "PlaygroundPending"

func newPendingPlugin(context.Context, runtime.Object, framework.Handle) (framework.Plugin, error) {
	return pendingPlugin{}, nil
}

func (pendingPlugin) Name() string { return pendingName }

func (pendingPlugin) Filter(_ context.Context, _ framework.CycleState, pod *corev1.Pod, _ framework.NodeInfo) *framework.Status {
	if failsAs(pod, failPending) {
		return framework.NewStatus(framework.UnschedulableAndUnresolvable, "Insufficient memory")
	}
	return nil
}

// EventsToRegister says that nothing that happens makes such a pod fit.
func (pendingPlugin) EventsToRegister(context.Context) ([]framework.ClusterEventWithHint, error) {
	return nil, nil
}

// schedulerConfig is the scheduler's configuration file.
func schedulerConfig() []byte {
	return fmt.Appendf(nil, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %s, qps: 500, burst: 1000}
leaderElection: {leaderElect: false}
profiles:
- schedulerName: default-scheduler
  plugins: {filter: {enabled: [{name: %s}]}}
`, kubeconfigOf(userScheduler), pendingName)
}
