#!/usr/bin/env bash
# Runs what deploy/ and docs/kubernetes.md hold, as far as one machine without a kubelet can: the very command lines
# of the manifests, until their own probes succeed; a real kube-apiserver on top, which judges every manifest;
# the guide, step by step; the unit under systemd-analyze. Says what it did not run, and why.
#
#   deploy/check.sh [MERIDIAN]     default: target/release/meridian
#   STATIC=1     builds the image's static binary too, and runs it in an empty root (minutes)
#   PLAINTEXT=1  takes the TLS flags out of every command line, for a binary without TLS
#
# Needs Go, jq, curl and openssl; what else is needed is built into deploy/bin and conformance/bin (git-ignored).
set -uo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
bin="$here/bin"
meridian="$(realpath "${1:-$root/target/release/meridian}")"
work="$(mktemp -d)"
pids=() passed=0 failed=0 skipped=0
export PATH="$work/path:$bin:$root/conformance/bin:$PATH" CGO_ENABLED=0
mkdir -p "$bin" "$work/path"
ln -s "$meridian" "$work/path/meridian"
ln -s "$meridian" "$work/path/etcd"

close() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$work"; }
trap close EXIT
trap 'exit 130' INT TERM

say() { printf '    %s\n' "$*"; }
step() { # step NAME COMMAND...: in a shell of its own that stops at the first failure
  local name=$1 from=$SECONDS; shift
  printf '\n--- %s\n' "$name"
  ( set -e; "$@" ) &
  # Not `if ( ... )`: bash forgets -e there.
  if wait $!; then passed=$((passed + 1)); printf -- '--- %s: ok, %d s\n' "$name" $((SECONDS - from))
  else
    failed=$((failed + 1)); printf -- '--- %s: FAILED, %d s\n' "$name" $((SECONDS - from))
    # What it left running would hold the ports of the next one.
    for file in "$work"/{kubeadm,chart,unit,image}.pid; do [ -f "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null; done
  fi
}
skip() { skipped=$((skipped + 1)); printf '\n--- %s: not run: %s\n' "$1" "$2"; }

free_port() {
  while :; do
    local port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# --- tools ----------------------------------------------------------------------------------------------------------

tools() {
  "$root/conformance/build-tools.sh" >/dev/null
  "$root/conformance/build-kubernetes.sh" >/dev/null
  if [ ! -x "$bin/helm" ]; then GOBIN="$bin" go install -trimpath helm.sh/helm/v3/cmd/helm@v3.22.0; fi
  if [ ! -x "$bin/kubeadm" ]; then
    local version=k8s.io/component-base/version
    (cd "$here/tools" && go build -trimpath -buildvcs=false -tags notest,grpcnotrace \
      -ldflags "-s -w -X $version.gitVersion=v1.37.2 -X $version.gitMajor=1 -X $version.gitMinor=37" \
      -o "$bin/kubeadm" k8s.io/kubernetes/cmd/kubeadm)
  fi
  for tool in jq curl openssl etcdctl kubectl kube-apiserver; do command -v "$tool" >/dev/null || { say "no $tool"; return 1; }; done
  say "$(meridian --version | tail -1), helm $(helm version --short), kubeadm $(kubeadm version -o short)"
}

# YAML from standard input to one JSON document a line.
json() { kubectl annotate --local --overwrite -f - -o json checked=yes | jq -c 'del(.metadata.annotations.checked)'; }

# --- this machine in the place of a node -------------------------------------------------------------------------------

client=$(free_port) peer=$(free_port) pages=$(free_port) api=$(free_port)
node=127.0.0.2

# Every path and port of a manifest, as they are on this machine; $1 names the data directory.
here_from() {
  local https=() data="$work/data-$1"
  if [ -n "${PLAINTEXT:-}" ]; then https=(-e '/^--\(peer-\)\?\(cert-file\|key-file\|trusted-ca-file\|client-cert-auth\)/d' -e 's#https:#http:#g'); fi
  sed -e "s#/etc/kubernetes/pki#$work/pki#g" -e "s#/etc/meridian/\(pki\|tls\)#$work/tls#g" \
    -e "s#/var/lib/\(meridian\|etcd\)#$data#g" -e "s#NODE_IP#$node#g" -e "s#NODE_NAME#node-1#g" \
    -e "s#\b2379\b#$client#g" -e "s#\b2380\b#$peer#g" -e "s#\b2381\b#$pages#g" ${https[@]+"${https[@]}"}
}

secure() { [ -z "${PLAINTEXT:-}" ]; }
ctl() {
  if secure; then set -- --cacert "$work/pki/etcd/ca.crt" --cert "$work/pki/apiserver-etcd-client.crt" \
    --key "$work/pki/apiserver-etcd-client.key" --endpoints "https://127.0.0.1:$client" "$@"
  else set -- --endpoints "http://127.0.0.1:$client" "$@"; fi
  etcdctl --command-timeout 10s "$@"
}

# Runs the container of the pod in $2 as $1, and waits for its own three probes.
run_pod() {
  local name=$1 pod=$2 command=() kind
  mkdir -p "$work/data-$name"
  mapfile -t command < <(jq -r '.spec.containers[0].command[]' <<<"$pod" | here_from "$name")
  say "${command[*]}" | sed "s#$work#…#g"
  # The container has no environment of ours.
  env -i PATH="$PATH" "${command[@]}" >"$work/$name.log" 2>&1 &
  echo $! >"$work/$name.pid"
  for kind in startup readiness liveness; do await_probe "$name" "$kind" "$pod"; done
  ctl put "checked/$name" yes >/dev/null
  [ "$(ctl get --print-value-only "checked/$name")" = yes ]
  say "put and get through etcdctl"
}

await_probe() { # NAME KIND POD
  local url attempts wait code
  url=$(jq -r --arg kind "$2Probe" '.spec.containers[0] as $c | $c[$kind] as $p
    | ($c.ports[] | select(.name == $p.httpGet.port).containerPort) as $port
    | "\($p.httpGet.scheme // "HTTP" | ascii_downcase)://\($p.httpGet.host // "127.0.0.1"):\($port)\($p.httpGet.path)"' \
    <<<"$3" | here_from "$1")
  wait=$(jq -r --arg kind "$2Probe" '.spec.containers[0][$kind].timeoutSeconds // 1' <<<"$3")
  for attempts in $(seq 100); do
    if ! kill -0 "$(cat "$work/$1.pid")" 2>/dev/null; then say "it ended:"; tail -5 "$work/$1.log"; return 1; fi
    code=$(curl -s -o /dev/null -m "$wait" -w '%{http_code}' "$url") && [ "$code" = 200 ] && break
    code="" && sleep 0.1
  done
  [ -n "$code" ] || { say "$2 probe: no 200 from $url"; tail -5 "$work/$1.log"; return 1; }
  say "$2 probe: 200 from $url"
}

stop_pod() { # in good order, and without another word than the last one
  local pid; pid=$(cat "$work/$1.pid")
  kill -TERM "$pid"
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  say "$1 does not stop"; kill -9 "$pid"; return 1
}

# --- kubeadm ----------------------------------------------------------------------------------------------------------

kubeadm_files() {
  cat >"$work/kubeadm.yaml" <<END
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 192.0.2.10, bindPort: $api}
nodeRegistration: {name: node-1, criSocket: "unix:///run/containerd/containerd.sock"}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
controlPlaneEndpoint: 127.0.0.1:$api
certificatesDir: $work/pki
apiServer: {certSANs: [127.0.0.1]}
etcd:
  local:
    imageRepository: localhost/meridian
    imageTag: 3.7.1-meridian.0.1.0
    serverCertSANs: [$node]
END
  mkdir "$work/dry"
  kubeadm config validate --config "$work/kubeadm.yaml" >/dev/null
  kubeadm init phase certs all --config "$work/kubeadm.yaml" >"$work/kubeadm.log"
  kubeadm init phase kubeconfig super-admin --config "$work/kubeadm.yaml" --kubeconfig-dir "$work" >>"$work/kubeadm.log"
  mkdir -p "$work/tls"
  cp "$work/pki/etcd/server.crt" "$work/tls/tls.crt"; cp "$work/tls/tls.crt" "$work/tls/server.crt"
  cp "$work/pki/etcd/server.key" "$work/tls/tls.key"; cp "$work/tls/tls.key" "$work/tls/server.key"
  cp "$work/pki/etcd/ca.crt" "$work/tls/ca.crt"
  KUBEADM_INIT_DRYRUN_DIR="$work/dry" kubeadm init phase etcd local --config "$work/kubeadm.yaml" --dry-run |
    sed -n '/^apiVersion: v1$/,$p; /^\tapiVersion: v1$/,$p' | sed 's/^\t//' >"$work/kubeadm-etcd.yaml"
  json <"$work/kubeadm-etcd.yaml" >"$work/kubeadm-etcd.json"
  say "certificates, an admin's kubeconfig and kubeadm's own etcd manifest are there"
}

# What kubeadm means and what we ship, without what is different on purpose.
essence() {
  jq -S '.metadata |= {name, namespace, labels, annotations} | .spec.containers[0] |= (
      del(.image, .securityContext, .command[0]) | .command |= (map(select(startswith("--data-dir") | not)) | sort)
      | .volumeMounts |= map(del(.readOnly) | select(.name != "etcd-data")))
    | .spec.volumes |= map(select(.name != "etcd-data")) | .spec |= del(.restartPolicy, .terminationGracePeriodSeconds,
      .dnsPolicy, .schedulerName) | del(.status)'
}

same_as_kubeadm() {
  json <"$here/static-pod/etcd.yaml" | essence | here_from x | sed "s#$node#192.0.2.10#g" >"$work/ours"
  essence <"$work/kubeadm-etcd.json" | here_from x >"$work/theirs"
  diff "$work/theirs" "$work/ours"
  say "flags, probes, ports, volumes and metadata are kubeadm $(kubeadm version -o short)'s, but for data directory and rights"
}

kubeadm_pod() { run_pod kubeadm "$(sed "s#192.0.2.10#$node#g" "$work/kubeadm-etcd.json")"; stop_pod kubeadm; }
static_pod() { run_pod static "$(json <"$here/static-pod/etcd.yaml")"; }

# --- the API server, on the static pod ----------------------------------------------------------------------------------

api_server() {
  local store=(--etcd-servers="http://127.0.0.1:$client")
  if secure; then store=(--etcd-servers="https://127.0.0.1:$client" --etcd-cafile="$work/pki/etcd/ca.crt"
    --etcd-certfile="$work/pki/apiserver-etcd-client.crt" --etcd-keyfile="$work/pki/apiserver-etcd-client.key"); fi
  kube-apiserver "${store[@]}" --secure-port="$api" --bind-address=127.0.0.1 --endpoint-reconciler-type=none \
    --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --client-ca-file="$work/pki/ca.crt" \
    --tls-cert-file="$work/pki/apiserver.crt" --tls-private-key-file="$work/pki/apiserver.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$work/pki/sa.pub" --service-account-signing-key-file="$work/pki/sa.key" \
    --cert-dir="$work/generated" >"$work/apiserver.log" 2>&1 &
  echo $! >"$work/apiserver.pid"
  for _ in $(seq 600); do
    if kubectl --kubeconfig "$work/super-admin.conf" get --raw /readyz >/dev/null 2>&1; then break; fi
    kill -0 "$(cat "$work/apiserver.pid")" 2>/dev/null || { tail -3 "$work/apiserver.log"; return 1; }
    sleep 0.2
  done
  kubectl --kubeconfig "$work/super-admin.conf" get --raw /readyz >/dev/null
  say "kube-apiserver $(kubectl --kubeconfig "$work/super-admin.conf" get --raw /version | jq -r .gitVersion) is ready on it"
}

judged() { kubectl --kubeconfig "$work/super-admin.conf" apply --dry-run=server --validate=strict -f - | sed 's/^/    /'; }

judge_static() {
  # Without the controller manager nobody makes the accounts that pods are admitted with.
  kubectl --kubeconfig "$work/super-admin.conf" -n kube-system create serviceaccount default >/dev/null
  kubectl --kubeconfig "$work/super-admin.conf" -n default create serviceaccount default >/dev/null
  sed -e "s/NODE_IP/$node/g" -e 's/NODE_NAME/node-1/g' "$here/static-pod/etcd.yaml" | judged
  judged <"$work/kubeadm-etcd.yaml"
}

# --- the chart ------------------------------------------------------------------------------------------------------------

charts=("tls.secretName=store" "tls.enabled=false" "tls.enabled=false,persistence.enabled=false,quotaBackendBytes=8589934592,extraFlags.log-level=debug,fullnameOverride=store"
  "tls.secretName=store,metrics.serviceMonitor.enabled=true,persistence.storageClassName=fast,service.type=NodePort,podLabels.a=b,podAnnotations.c=d")
rendered() { helm template store "$here/helm/meridian" --kube-version 1.37.2 -n default --set "$1"; }

chart_lint() {
  local values
  for values in "${charts[@]}"; do helm lint --quiet --strict "$here/helm/meridian" --set "$values"; done
  # What the schema and the templates must refuse.
  for values in image.bogus=1 replicas=3 tls.enabled=maybe quotaBackendBytes=-2 metrics.port=0 tls.secretName=; do
    if helm template store "$here/helm/meridian" --kube-version 1.37.2 --set "$values" >"$work/out" 2>&1; then
      say "accepted: $values"; return 1
    fi
  done
  say "${#charts[@]} sets of values are accepted, 6 mistakes are refused"
}

# The operator's kinds are not in a bare API server: one that takes any spec stands in for theirs.
chart_judged() {
  kubectl --kubeconfig "$work/super-admin.conf" apply -f - >/dev/null <<'END'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {plural: servicemonitors, singular: servicemonitor, kind: ServiceMonitor}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
END
  kubectl --kubeconfig "$work/super-admin.conf" wait --for=condition=Established crd/servicemonitors.monitoring.coreos.com >/dev/null
  local values
  for values in "${charts[@]}"; do say "$values"; rendered "$values" | judged; done
}

chart_run() {
  local values=tls.secretName=store all pod test
  secure || values=tls.enabled=false
  all=$(rendered "$values" | json)
  pod=$(jq -c 'select(.kind == "StatefulSet").spec.template' <<<"$all")
  run_pod chart "$pod"
  mapfile -t test < <(jq -r 'select(.kind == "Pod").spec.containers[0].command[]' <<<"$all" | here_from chart |
    sed 's#//[a-z.-]*:#//127.0.0.1:#')
  say "the chart's test: ${test[*]}"
  "${test[@]}"
  stop_pod chart
}

# --- the unit -------------------------------------------------------------------------------------------------------------

unit_verified() {
  # verify asks whether the program is there.
  sed "s#/usr/local/bin/meridian#$meridian#" "$here/systemd/meridian.service" >"$work/meridian.service"
  systemd-analyze verify --man=no "$work/meridian.service" 2>&1 | grep -F meridian.service >"$work/complaints" || true
  if [ -s "$work/complaints" ]; then cat "$work/complaints"; return 1; fi
  say "systemd-analyze verify has no complaint"
  systemd-analyze security --offline=true --threshold=20 "$work/meridian.service" | tail -1
}

# The environment file as the unit would pass it, with a supervisor that listens.
unit_run() {
  local settings=()
  mkdir -p "$work/data-unit"
  mapfile -t settings < <(grep -v '^#' "$here/systemd/meridian.env" | here_from unit)
  if ! secure; then mapfile -t settings < <(printf '%s\n' "${settings[@]}" | grep -vE '^ETCD_(CERT_FILE|KEY_FILE|TRUSTED_CA_FILE|CLIENT_CERT_AUTH)='); fi
  python3 - "$work/notify" >"$work/told" <<'END' &
import socket, sys
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(sys.argv[1])
ear.settimeout(60)
for _ in range(2):
    print(ear.recv(1024).decode().replace("\n", "  "), flush=True)
END
  local ear=$!
  while [ ! -S "$work/notify" ]; do sleep 0.05; done
  env -i NOTIFY_SOCKET="$work/notify" "${settings[@]}" "$meridian" >"$work/unit.log" 2>&1 &
  echo $! >"$work/unit.pid"
  for _ in $(seq 300); do grep -q '^READY=1' "$work/told" && break; sleep 0.1; done
  grep -q '^READY=1' "$work/told" || { tail -5 "$work/unit.log"; return 1; }
  ctl put checked/unit yes >/dev/null
  stop_pod unit
  wait "$ear"
  sed 's/^/    told: /' "$work/told"
  grep -q '^STOPPING=1' "$work/told"
}

# --- the guide --------------------------------------------------------------------------------------------------------------

guide() {
  local script="$work/guide.sh" port
  for port in 2379 2381 6443; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then say "port $port of this machine is in use"; return 1; fi
  done
  # Should a step fail, what the steps before it started must not go on.
  echo "trap 'kill -9 \$(jobs -p) 2>/dev/null || true' EXIT" >"$script"
  awk '/<!-- run: begin -->/ {on = 1} /<!-- run: end -->/ {on = 0}
    on && /^```sh$/ {code = 1; next} /^```$/ {code = 0} code' "$root/docs/kubernetes.md" >>"$script"
  [ "$(grep -c . "$script")" -gt 20 ]
  mkdir "$work/guide"
  if ! (cd "$work/guide" && bash -eu "$script" >"$work/guide.log" 2>&1); then tail -20 "$work/guide.log"; return 1; fi
  tail -12 "$work/guide.log" | sed 's/^/    /'
  grep -q 'node-1 ' "$work/guide.log"
}

# --- the image --------------------------------------------------------------------------------------------------------------

static_binary() {
  local target=x86_64-unknown-linux-gnu empty="$work/empty"
  RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --locked --release -p server --bin meridian \
    --manifest-path "$root/Cargo.toml" --target "$target" --target-dir "$root/target/static"
  mkdir -p "$empty/usr/local/bin" "$empty/var/lib/meridian"
  install -s "$root/target/static/$target/release/meridian" "$empty/usr/local/bin/meridian"
  ldd "$empty/usr/local/bin/meridian" 2>&1 | grep -qE 'statically linked|not a dynamic' || { say "not static"; return 1; }
  say "static, $(stat -c %s "$empty/usr/local/bin/meridian") bytes"
  chown 65532:65532 "$empty/var/lib/meridian"; chmod 755 "$work" "$empty"
  # What every container runtime puts into a container; the source of randomness is asked for there.
  mkdir "$empty/dev"; mknod -m 666 "$empty/dev/null" c 1 3; mknod -m 666 "$empty/dev/urandom" c 1 9; mknod -m 666 "$empty/dev/random" c 1 8
  # The image's own default command, as its own user, in a root that holds nothing else.
  local flags=()
  mapfile -t flags < <(grep -A9 '^CMD \["--data' "$here/docker/Dockerfile" | grep -oE -- '--[^"]*' |
    sed -e "s#\b2379\b#$client#; s#\b2381\b#$pages#")
  chroot --userspec=65532:65532 "$empty" /usr/local/bin/meridian "${flags[@]}" >"$work/image.log" 2>&1 &
  echo $! >"$work/image.pid"
  for _ in $(seq 100); do
    chroot --userspec=65532:65532 "$empty" /usr/local/bin/meridian probe "http://127.0.0.1:$pages/readyz" 2>/dev/null && break
    sleep 0.1
  done
  etcdctl --endpoints "http://127.0.0.1:$client" put image static >/dev/null
  [ "$(etcdctl --endpoints "http://127.0.0.1:$client" get --print-value-only image)" = static ]
  say "in an otherwise empty root, as user 65532: ${flags[*]}; put and get through etcdctl"
  stop_pod image
}

# --- all of it ----------------------------------------------------------------------------------------------------------------

stop_cluster() {
  if kill "$(cat "$work/apiserver.pid")"; then wait_gone "$(cat "$work/apiserver.pid")"; fi
  stop_pod static
}
wait_gone() { for _ in $(seq 200); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done; kill -9 "$1"; }
close_all() { for file in "$work"/*.pid; do [ -f "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null; done; close; }
trap close_all EXIT

step "tools" tools
step "kubeadm: certificates and its own manifest" kubeadm_files
step "static pod: the same as kubeadm's" same_as_kubeadm
step "kubeadm's own etcd manifest, with the image of Meridian" kubeadm_pod
step "static pod: its command line and its probes" static_pod
step "kube-apiserver on the static pod" api_server
step "static pod: judged by kube-apiserver" judge_static
step "chart: lint" chart_lint
step "chart: judged by kube-apiserver" chart_judged
step "stop" stop_cluster
step "chart: its command line, its probes and its test" chart_run
if command -v systemd-analyze >/dev/null; then step "unit: systemd-analyze" unit_verified
else skip "unit: systemd-analyze" "it is not installed (Debian: the package systemd)"; fi
step "unit: its environment file, and readiness" unit_run
azure() {
  local binary=()
  if secure; then binary=("$meridian"); fi
  "$here/azure/check.sh" "${binary[@]}" | sed 's/^/    /'
}
step "deploy/azure: template, twin, models, and a machine's first minutes" azure
if secure; then step "docs/kubernetes.md, step by step" guide
else skip "docs/kubernetes.md, step by step" "its certificates are half of it, and this binary has no TLS"; fi
if [ -z "${STATIC:-}" ]; then skip "image: the static binary in an empty root" "STATIC=1 asks for it; it builds for minutes"
elif [ "$(id -u)" -ne 0 ]; then skip "image: the static binary in an empty root" "chroot is for root alone"
else step "image: the static binary in an empty root" static_binary; fi
skip "deploy/azure: a deployment" "that takes Azure"
skip "image: docker build" "neither a daemon nor the base image can be counted on"
skip "static pod under a kubelet, kubeadm init" "a node with a container runtime is needed"
skip "helm install" "pods need a node"
skip "k3s" "it is not published as a Go module, and needs a node"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
