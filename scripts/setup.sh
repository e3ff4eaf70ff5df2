#!/bin/sh
# Makes a clone ready to run: Debian packages that are missing, npm packages from the lockfile with the pinned Node among them,
# the one native build against that Node's own headers, and with --build the compiled JavaScript.
# Promises: quick where nothing is missing; leaves no service of Debian running or enabled; ends with one sentence.
#   --build   compile when the sources are newer than dist/
#   --demo    also what scripts/demo.ts needs
#   --test    also the servers that the tests import from, and upload through
#   --bench   also what bench/bench.ts needs
#   --cluster also what the test cluster in test/cluster needs, except Go
#   --image   also what test/image needs to look at the container image; to build it takes nothing further
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

fail() {
  echo "setup: $*" >&2
  exit 1
}

say() {
  echo "setup: $*" >&2
}

want_build='' want_demo='' want_test='' want_bench='' want_cluster='' want_image=''
for option in "$@"; do
  case $option in
    --build) want_build=1 ;;
    --demo) want_demo=1 ;;
    --test) want_test=1 ;;
    --bench) want_bench=1 ;;
    --cluster) want_cluster=1 ;;
    --image) want_image=1 ;;
    *) fail "unknown option $option; known are --build, --demo, --test, --bench, --cluster and --image." ;;
  esac
done

# --- Debian packages -------------------------------------------------------------------------------------------------------

# need PACKAGE PROGRAM|/PATH: notes the package where the program or file is not there.
missing=''
need() {
  case $2 in
    /*) [ ! -e "$2" ] || return 0 ;;
    *) ! command -v "$2" >/dev/null 2>&1 || return 0 ;;
  esac
  case " $missing " in
    *" $1 "*) ;;
    *) missing="$missing $1" ;;
  esac
}

note_missing_packages() {
  need qemu-utils qemu-img
  need redis-server redis-server
  need xz-utils xz
  need zstd zstd
  need bzip2 bzip2
  need lbzip2 lbzip2
  need pigz pigz
  [ "$(uname -m)" != x86_64 ] || need isal igzip
  need util-linux setpriv
  need util-linux prlimit
  need util-linux unshare
  need util-linux flock
  need coreutils sha256sum
  need curl curl
  need procps ps
  need ca-certificates /etc/ssl/certs/ca-certificates.crt
  if [ ! -e "$binding" ] || ! npm_packages_are_fresh; then
    need g++ g++
    need make make
    need python3 python3
  fi
  [ -z "$want_demo" ] || need grub-rescue-pc /usr/lib/grub-rescue/grub-rescue-cdrom.iso
  [ -z "$want_test" ] || note_missing_servers
  [ -z "$want_bench" ] || note_missing_packages_of_the_bench
  [ -z "$want_cluster" ] || note_missing_packages_of_a_node
  [ -z "$want_image" ] || need skopeo skopeo
  [ -z "$want_image" ] || need binutils readelf
}

# A container registry with what pushes to it, an S3 server that checks signatures, and what an Ingress is made by.
note_missing_servers() {
  need docker-registry docker-registry
  need skopeo skopeo
  need umoci umoci
  need swift-proxy swift-proxy-server
  need swift-account swift-account-server
  need swift-container swift-container-server
  need swift-object swift-object-server
  need memcached memcached
  need nginx-light nginx
}

# Servers to import from, and what the floors are made of beside the programs that the product runs itself.
note_missing_packages_of_the_bench() {
  note_missing_servers
  need openssl openssl
  need bash bash
  need tar tar
}

# What a Kubernetes node stands on; a cluster that KUBECONFIG names has its own.
note_missing_packages_of_a_node() {
  [ -z "${KUBECONFIG:-}" ] || return 0
  need containerd containerd
  need containerd ctr
  need runc runc
  need containernetworking-plugins /usr/lib/cni/bridge
  need iptables iptables
  need ipset ipset
  need conntrack conntrack
  need iproute2 ip
  need util-linux nsenter
  need mount losetup
  need tar tar
  need busybox-static busybox
}

choose_root_command() {
  if [ "$(id -u)" = 0 ]; then
    as_root=env
  elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root='sudo env'
  else
    return 1
  fi
}

# Debian starts a service when its package comes. The policy file forbids that while we install; one that is there already stays.
policy=/usr/sbin/policy-rc.d
own_policy=''
forbid_services() {
  [ ! -e $policy ] || return 0
  own_policy=1
  printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
  $as_root chmod 755 $policy
}

allow_services() {
  [ -z "$own_policy" ] || $as_root rm -f $policy
  own_policy=''
}

# A service that stays on does no harm to Longshore, which runs its own; so it is told and the set-up goes on.
keep_service_off() {
  service_off "$1" >/dev/null 2>&1 || printf 'setup: could not switch off the service %s; it is not needed\n' "$1" >&2
}

service_off() {
  if command -v systemctl >/dev/null 2>&1; then
    $as_root systemctl disable "$1" || return 1
    [ ! -d /run/systemd/system ] || $as_root systemctl stop "$1"
  elif command -v update-rc.d >/dev/null 2>&1; then
    $as_root update-rc.d "$1" disable
  fi
}

install_missing_packages() {
  by_hand="apt-get install --no-install-recommends$missing"
  command -v apt-get >/dev/null 2>&1 || fail "this machine has no apt-get; install what Debian calls$missing and run it again."
  choose_root_command || fail "run as root: $by_hand"
  say "installing$missing"
  forbid_services
  trap allow_services EXIT
  trap 'exit 130' INT TERM
  log=$(mktemp)
  # The names are a list on purpose.
  # shellcheck disable=SC2086
  if ! { $as_root apt-get update -qq && $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "apt-get failed; run as root: apt-get update && $by_hand"
  fi
  rm -f "$log"
  allow_services
  trap - EXIT INT TERM
  case "$missing " in *' redis-server '*) keep_service_off redis-server ;; esac
  for service in docker-registry memcached swift-proxy swift-account swift-container swift-object; do
    case "$missing " in *" $service "*) keep_service_off "$service" ;; esac
  done
  case "$missing " in *' nginx-light '*) keep_service_off nginx ;; esac
  case "$missing " in *' containerd '*) keep_service_off containerd ;; esac
}

# --- npm packages ----------------------------------------------------------------------------------------------------------

case $(uname -m) in
  x86_64) arch=x64 ;;
  aarch64) arch=arm64 ;;
  *) fail "there is no packaged Node for $(uname -m); Longshore runs on x86_64 and aarch64." ;;
esac
node_home=node_modules/node-linux-$arch
stamp=node_modules/.setup-lockfile.sha256
binding=node_modules/zstd-napi/build/Release/binding.node

lockfile_digest() {
  sha256sum <package-lock.json
}

# Fresh: the stamp names this lockfile, or npm itself installed after the lockfile was last written, under a Node new enough for all of it.
npm_packages_are_fresh() {
  [ -x "$node_home/bin/node" ] || return 1
  [ "$(cat $stamp 2>/dev/null)" != "$(lockfile_digest)" ] || return 0
  [ -e "node_modules/@rolldown/binding-linux-$arch-gnu" ] || return 1
  [ -e node_modules/.package-lock.json ] && [ -z "$(find package-lock.json -newer node_modules/.package-lock.json)" ]
}

install_npm_packages() {
  command -v npm >/dev/null 2>&1 || fail 'npm is missing; run as root: apt-get install --no-install-recommends nodejs npm'
  say 'installing npm packages from the lockfile'
  clean_install
  [ -x "$node_home/bin/node" ] || fail "npm left out $node_home; run it again when the registry can be reached."
  if ! node_is_new_enough; then install_with_pinned_node; fi
  lockfile_digest >$stamp
}

clean_install() {
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ||
    fail 'npm ci failed; see above for the reason, then run it again.'
}

node_is_new_enough() {
  [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 24' 2>/dev/null)" = true ]
}

# npm under an old Node silently leaves out optional packages that want a newer one. So it fetched the pinned Node, and does it again under that.
install_with_pinned_node() {
  apart=$(mktemp -d)
  cp "$node_home/bin/node" "$apart/node"
  former_path=$PATH
  PATH="$apart:$PATH"
  clean_install
  PATH=$former_path
  rm -rf "$apart"
}

# npm 9 loses the link to Node where the lockfile lists more than one architecture; no npm links a package's own bin.
link_programs() {
  mkdir -p node_modules/.bin
  link "../node-linux-$arch/bin/node" node_modules/.bin/node
  link ../../bin/longshore node_modules/.bin/longshore
}

link() {
  [ "$(readlink "$2" 2>/dev/null)" = "$1" ] || ln -sfn "$1" "$2"
}

# Against the headers that come with the pinned Node, whatever the user's npm is set to; takes about half a minute.
build_native_binding() {
  say 'compiling zstd-napi'
  log=$(mktemp)
  if ! PATH="$PWD/node_modules/.bin:$PATH" npm_config_nodedir="$PWD/$node_home" npm_config_build_from_source=true \
    npm_config_ignore_scripts=false JOBS="$(nproc)" npm rebuild zstd-napi >"$log" 2>&1 || [ ! -e "$binding" ]; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail 'zstd-napi did not compile; the lines above say why.'
  fi
  rm -f "$log"
}

# --- compiled JavaScript ---------------------------------------------------------------------------------------------------

rooms='domain runtime volumes importer cloner uploadproxy jobs csi worker controller api cluster cli main'
built=dist/.built

build_is_fresh() {
  [ -e $built ] || return 1
  # shellcheck disable=SC2086
  [ -z "$(find $rooms tsconfig.json tsconfig.build.json package-lock.json \( -name '*.ts' -o -name '*.json' -o -type d \) \
    -newer $built -print -quit)" ]
}

# Into a place of its own first, so that a build that fails leaves the former one.
compile() {
  say 'compiling'
  fresh=node_modules/.dist-new former=node_modules/.dist-former
  rm -rf $fresh $former
  mkdir -p $fresh
  touch $fresh/.built
  node_modules/.bin/node node_modules/typescript/bin/tsc -p tsconfig.build.json --outDir $fresh >&2 ||
    fail 'the sources do not compile; the lines above say where.'
  [ ! -e dist ] || mv dist $former
  mv $fresh dist
  rm -rf $former
}

# ---------------------------------------------------------------------------------------------------------------------------

note_missing_packages
[ -z "$missing" ] || install_missing_packages

# One at a time: a second caller waits here and then finds everything done.
exec 9<package.json
flock 9
npm_packages_are_fresh || install_npm_packages
link_programs
[ -e "$binding" ] || build_native_binding
if [ -n "$want_build" ]; then build_is_fresh || compile; fi
echo "setup: ready, with Node $(node_modules/.bin/node -p process.versions.node)."
