{{- /* Names are fixed, not made from the release: there is one Longshore on a cluster, and its own code looks for some of them. */ -}}

{{- define "longshore.selector" -}}
app.kubernetes.io/name: longshore
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- /* (list $ "component") */ -}}
{{- define "longshore.labels" -}}
{{- $root := index . 0 -}}
{{ include "longshore.selector" (index . 1) }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: longshore
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* (list $ image): imageRegistry takes the place of the registry that the image names. */ -}}
{{- define "longshore.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $repository := $image.repository -}}
{{- with $root.Values.imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- $first := first $parts -}}
{{- if and (gt (len $parts) 1) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) -}}
{{- end -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "longshore.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What the level `restricted` of the Pod Security Standards asks of a pod, and of a container. */ -}}
{{- define "longshore.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 107
  runAsGroup: 107
  fsGroup: 107
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "longshore.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- /* (list $ "component"): where the pods of the Deployments and of Redis run. */ -}}
{{- define "longshore.infra" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.infra.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.infra.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.infra.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- else }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "longshore.selector" (index . 1) | nindent 8 }}
{{- end }}
{{- end }}

{{- /* Settings of every process of ours. */ -}}
{{- define "longshore.environment" -}}
- name: LONGSHORE_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: LONGSHORE_DATA
  value: /var/lib/longshore
- name: LONGSHORE_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: LONGSHORE_METRICS_HOST
  value: {{ .Values.listenAddress | quote }}
- name: LONGSHORE_METRICS_PORT
  value: "8080"
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  {{- /* Helm reads every number as a float, and would write a large one as 3.6e+06. */}}
  value: {{ ternary (int64 $value | toString) (toString $value) (and (kindIs "float64" $value) (eq (floor $value) $value)) | quote }}
{{- end }}
{{- end }}

{{- define "longshore.redisEnvironment" -}}
- name: LONGSHORE_REDIS_URL
  valueFrom:
    secretKeyRef:
      {{- if .Values.redis.existingSecret }}
      name: {{ .Values.redis.existingSecret }}
      key: {{ .Values.redis.existingSecretKey }}
      {{- else }}
      name: longshore-redis
      key: url
      {{- end }}
{{- if .Values.redis.mayEvict }}
- name: LONGSHORE_REDIS_MAY_EVICT
  value: "yes"
{{- end }}
{{- end }}

{{- /* The password of the chart's own Redis: the one in its Secret, or a new one, which all templates then share. */ -}}
{{- define "longshore.redisPassword" -}}
{{- if not (hasKey .Values.redis "ownPassword") }}
{{- $password := randAlphaNum 32 }}
{{- with lookup "v1" "Secret" .Release.Namespace "longshore-redis" }}
{{- with .data.password }}
{{- $password = . | b64dec }}
{{- end }}
{{- end }}
{{- $_ := set .Values.redis "ownPassword" $password }}
{{- end }}
{{- .Values.redis.ownPassword }}
{{- end }}

{{- /* Redis and who uses it begin anew together: where what names it has changed, or its Secret was deleted and has a new password. */ -}}
{{- define "longshore.redisChecksum" -}}
{{- $own := "" }}
{{- if include "longshore.ownRedis" . }}
{{- $own = include "longshore.redisPassword" . }}
{{- end }}
{{- with .Values.redis -}}
checksum/redis: {{ list .url .existingSecret .existingSecretKey $own | toJson | sha256sum }}
{{- end }}
{{- end }}

{{- /* Whether Redis is the chart's: "yes" or nothing. */ -}}
{{- define "longshore.ownRedis" -}}
{{- if not (or .Values.redis.url .Values.redis.existingSecret) }}yes{{ end -}}
{{- end }}

{{- define "longshore.metricsPort" -}}
- name: metrics
  containerPort: 8080
{{- end }}

{{- /* A process answers /livez from its first second; it is started again when it has not for half a minute. */ -}}
{{- define "longshore.probes" -}}
livenessProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
startupProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: metrics }
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- /* A pod that ends goes on answering until every node has heard that it is no longer to be asked. */ -}}
{{- define "longshore.leaveFirst" -}}
lifecycle:
  preStop:
    sleep: { seconds: 5 }
{{- end }}

{{- /* host:port to listen on: (list $ port) */ -}}
{{- define "longshore.listen" -}}
{{- $host := (index . 0).Values.listenAddress -}}
{{- if contains ":" $host }}[{{ $host }}]{{ else }}{{ $host }}{{ end }}:{{ index . 1 }}
{{- end }}

{{- /* Keys and certificates lie in memory only. */ -}}
{{- define "longshore.dataVolume" -}}
- name: data
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
{{- end }}

{{- /* All names of a Service: (list $ "name") */ -}}
{{- define "longshore.serviceHosts" -}}
{{- $namespace := (index . 0).Release.Namespace -}}
{{- $name := index . 1 -}}
{{ $name }},{{ $name }}.{{ $namespace }},{{ $name }}.{{ $namespace }}.svc,{{ $name }}.{{ $namespace }}.svc.cluster.local
{{- end }}
