{{- /*
What the operator may do. Every verb is listed, none is `*`. It may create Roles only because it holds, itself, every
permission that it puts into them (ConfigMaps and EndpointSlices, Secrets with `rbac.gatewayKeys`: get, list, watch); it has neither `bind` nor `escalate`.
*/ -}}
{{- define "autoglm.rules" -}}
- apiGroups: [autoglm.dev]
  resources: [autoglmdeployments]
  verbs: [get, list, watch]
- apiGroups: [autoglm.dev]
  resources: [autoglmdeployments/status]
  verbs: [patch]
# Owner references with blockOwnerDeletion need it where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [autoglm.dev]
  resources: [autoglmdeployments/finalizers]
  verbs: [update]
# The sizes that others write in mode External: made, followed and removed by the operator.
- apiGroups: [autoglm.dev]
  resources: [autoglmpoolscales]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoglm.dev]
  resources: [autoglmpoolscales/status]
  verbs: [patch]
# Who else writes a size is reported and left alone.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# A gateway's identity goes only with its resource, which the garbage collector sees to.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.rbac.gatewayKeys }}
# Never used by the operator itself: held so that it can be granted to gateways, each for the one Secret that is named.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end }}
{{- end -}}
