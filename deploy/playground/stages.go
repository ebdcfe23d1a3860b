package main

import (
	_ "embed"
	"fmt"
	"strings"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodelease "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/yaml"
)

//go:embed config/volumes.yaml
var volumeStages string

// stageFile is the configuration that tells kwok how nodes, pods and volumes
// live. Nodes and pods do as in kwok's own stages, but it leaves pods that are
// to fail to the kubelet.
func stageFile() ([]byte, error) {
	ready, err := leave(podfast.DefaultPodReady, append(neverReady, failSlow)...)
	if err != nil {
		return nil, err
	}
	complete, err := leave(podfast.DefaultPodComplete, neverReady...)
	if err != nil {
		return nil, err
	}
	return []byte(strings.Join([]string{
		nodefast.DefaultNodeInit, nodelease.DefaultNodeHeartbeatWithLease,
		ready, complete, podfast.DefaultPodDelete, volumeStages,
	}, "\n---\n")), nil
}

// leave narrows a stage to pods none of whose containers fail in these ways.
func leave(text string, ways ...string) (string, error) {
	var stage v1alpha1.Stage
	if err := yaml.UnmarshalStrict([]byte(text), &stage); err != nil {
		return "", fmt.Errorf("reading a stage of kwok's: %w", err)
	}
	stage.Spec.Selector.MatchExpressions = append(stage.Spec.Selector.MatchExpressions, v1alpha1.MatchExpression{
		JQ: &v1alpha1.SelectorJQ{Key: failQuery, Operator: v1alpha1.SelectorOpNotIn, Values: ways},
	})
	narrowed, err := yaml.Marshal(stage)
	if err != nil {
		return "", fmt.Errorf("writing stage %s: %w", stage.Name, err)
	}
	return string(narrowed), nil
}
