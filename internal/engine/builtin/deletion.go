package builtin

// deletesData says what goes with an object; whether a finalizer, a reclaim
// policy or whoever applies the change keeps it, is not in the manifest.
func deletesData(o *object) []hit {
	what := ""
	switch {
	case o.is("", "PersistentVolumeClaim"):
		what = "deleting the claim releases its volume, and what is stored on it may go with it"
	case o.is("", "Namespace"):
		what = "deleting the namespace deletes every object in it"
	case o.is("apiextensions.k8s.io", "CustomResourceDefinition"):
		what = "deleting the definition deletes every custom resource of its kind, in all namespaces"
	default:
		return nil
	}
	return []hit{{what: what}}
}
