package builtin

// formerAPIs are kinds that k8s.io/api no longer has, or never had because
// another module serves them. The minors are those their last release declared.
var formerAPIs = map[string]life{
	"apiextensions.k8s.io/v1beta1 CustomResourceDefinition": {16, 22, "apiextensions.k8s.io/v1 CustomResourceDefinition"},
	"apiregistration.k8s.io/v1beta1 APIService":             {19, 22, "apiregistration.k8s.io/v1 APIService"},
	"autoscaling/v2beta1 HorizontalPodAutoscaler":           {22, 25, "autoscaling/v2 HorizontalPodAutoscaler"},
	"autoscaling/v2beta2 HorizontalPodAutoscaler":           {23, 26, "autoscaling/v2 HorizontalPodAutoscaler"},
	"batch/v2alpha1 CronJob":                                {21, 21, "batch/v1 CronJob"},
	"extensions/v1beta1 PodSecurityPolicy":                  {11, 16, ""},
	"networking.k8s.io/v1alpha1 ClusterCIDR":                {28, 31, ""},
	"networking.k8s.io/v1alpha1 IPAddress":                  {30, 33, "networking.k8s.io/v1 IPAddress"},
	"networking.k8s.io/v1alpha1 ServiceCIDR":                {30, 33, "networking.k8s.io/v1 ServiceCIDR"},
	"policy/v1beta1 PodSecurityPolicy":                      {21, 25, ""},
	"settings.k8s.io/v1alpha1 PodPreset":                    {20, 20, ""},
	"storagemigration.k8s.io/v1alpha1 StorageVersionMigration": {
		33, 36, "storagemigration.k8s.io/v1beta1 StorageVersionMigration"},
}

// otherwise is the remedy where something else than another version of the kind
// took over.
var otherwise = map[string]string{
	"extensions/v1beta1 PodSecurityPolicy": podSecurity,
	"policy/v1beta1 PodSecurityPolicy":     podSecurity,
	"v1 ComponentStatus":                   "read the components' health endpoints",
}

const podSecurity = "use Pod Security admission, which reads the namespaces' pod-security.kubernetes.io labels"

// supersededAPIs are versions of well-known custom resources that their projects
// deprecated or removed, of every kind or of the named one.
var supersededAPIs = map[string]string{
	// cert-manager 1.6 removed them; 0.11 renamed the first group.
	"certmanager.k8s.io/v1alpha1":         "cert-manager.io/v1",
	"cert-manager.io/v1alpha2":            "cert-manager.io/v1",
	"cert-manager.io/v1alpha3":            "cert-manager.io/v1",
	"cert-manager.io/v1beta1":             "cert-manager.io/v1",
	"acme.cert-manager.io/v1alpha2":       "acme.cert-manager.io/v1",
	"acme.cert-manager.io/v1alpha3":       "acme.cert-manager.io/v1",
	"acme.cert-manager.io/v1beta1":        "acme.cert-manager.io/v1",
	"external-secrets.io/v1beta1":         "external-secrets.io/v1",
	"traefik.containo.us/v1alpha1":        "traefik.io/v1alpha1", // Traefik 3 removed it
	"kustomize.toolkit.fluxcd.io/v1beta1": "kustomize.toolkit.fluxcd.io/v1",
	"kustomize.toolkit.fluxcd.io/v1beta2": "kustomize.toolkit.fluxcd.io/v1",
	"helm.toolkit.fluxcd.io/v2beta1":      "helm.toolkit.fluxcd.io/v2",
	"helm.toolkit.fluxcd.io/v2beta2":      "helm.toolkit.fluxcd.io/v2",

	"source.toolkit.fluxcd.io/v1beta1 GitRepository":  "source.toolkit.fluxcd.io/v1",
	"source.toolkit.fluxcd.io/v1beta2 GitRepository":  "source.toolkit.fluxcd.io/v1",
	"source.toolkit.fluxcd.io/v1beta1 HelmRepository": "source.toolkit.fluxcd.io/v1",
	"source.toolkit.fluxcd.io/v1beta2 HelmRepository": "source.toolkit.fluxcd.io/v1",
	"source.toolkit.fluxcd.io/v1beta1 HelmChart":      "source.toolkit.fluxcd.io/v1",
	"source.toolkit.fluxcd.io/v1beta2 HelmChart":      "source.toolkit.fluxcd.io/v1",
	"notification.toolkit.fluxcd.io/v1beta1 Receiver": "notification.toolkit.fluxcd.io/v1",
	"notification.toolkit.fluxcd.io/v1beta2 Receiver": "notification.toolkit.fluxcd.io/v1",
	"notification.toolkit.fluxcd.io/v1beta1 Alert":    "notification.toolkit.fluxcd.io/v1beta3",
	"notification.toolkit.fluxcd.io/v1beta2 Alert":    "notification.toolkit.fluxcd.io/v1beta3",
	"notification.toolkit.fluxcd.io/v1beta1 Provider": "notification.toolkit.fluxcd.io/v1beta3",
	"notification.toolkit.fluxcd.io/v1beta2 Provider": "notification.toolkit.fluxcd.io/v1beta3",
}
