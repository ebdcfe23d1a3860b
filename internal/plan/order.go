package plan

import (
	"cmp"
	"slices"
)

// order lists kinds in the order in which they need each other; "*" stands for all
// kinds that are not named. What is deleted goes the other way round.
var order = [][]string{
	{"Namespace"},
	{"apiextensions.k8s.io/CustomResourceDefinition"},
	{"storage.k8s.io/StorageClass", "scheduling.k8s.io/PriorityClass", "networking.k8s.io/IngressClass", "node.k8s.io/RuntimeClass", "gateway.networking.k8s.io/GatewayClass"},
	{"ResourceQuota", "LimitRange", "ServiceAccount", "rbac.authorization.k8s.io/ClusterRole", "rbac.authorization.k8s.io/Role"},
	{"rbac.authorization.k8s.io/ClusterRoleBinding", "rbac.authorization.k8s.io/RoleBinding"},
	{"ConfigMap", "Secret", "PersistentVolume", "PersistentVolumeClaim", "Service", "networking.k8s.io/NetworkPolicy"},
	{"*"},
	{"autoscaling/HorizontalPodAutoscaler", "policy/PodDisruptionBudget", "networking.k8s.io/Ingress"},
	{"apiregistration.k8s.io/APIService", "admissionregistration.k8s.io/MutatingWebhookConfiguration", "admissionregistration.k8s.io/ValidatingWebhookConfiguration"},
}

func rank(c Change) int {
	kind, rest := groupKind(c.Ref), 0
	for i, kinds := range order {
		if slices.Contains(kinds, kind) {
			return i
		}
		if kinds[0] == "*" {
			rest = i
		}
	}
	return rest
}

// Stages are the changes that write an object, in groups: each needs at most those
// before it.
func (p Plan) Stages() [][]Change {
	return staged(p.Changes, func(c Change) bool { return c.Class.Writes() })
}

// Prunes are the changes that delete an object, in groups: each is needed by at most
// those before it.
func (p Plan) Prunes() [][]Change {
	stages := staged(p.Changes, func(c Change) bool { return c.Class == Delete })
	slices.Reverse(stages)
	return stages
}

func staged(changes []Change, wanted func(Change) bool) [][]Change {
	var chosen []Change
	for _, c := range changes {
		if wanted(c) {
			chosen = append(chosen, c)
		}
	}
	slices.SortStableFunc(chosen, func(a, b Change) int { return cmp.Compare(rank(a), rank(b)) })
	var stages [][]Change
	for _, c := range chosen {
		if last := len(stages) - 1; last >= 0 && rank(stages[last][0]) == rank(c) {
			stages[last] = append(stages[last], c)
			continue
		}
		stages = append(stages, []Change{c})
	}
	return stages
}

// Stopping are the changes that keep the plan from being applied.
func (p Plan) Stopping() []Change {
	return slices.DeleteFunc(slices.Clone(p.Changes), func(c Change) bool { return !c.Class.Stops() })
}
