# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages that the project's scripts need, by purpose: the one
# place that lists them.  Sourced; see need_packages.

declare -grA AQ_PACKAGES=(
  [build]="gcc make autoconf automake libtool pkg-config libyaml-dev libsqlite3-dev libssl-dev libcmocka-dev libfuse3-dev"
  [slurm]="slurmctld slurmd slurm-client libslurm-dev"
  [munge]="munge"
  [tools]="python3 python3-venv ca-certificates"
  [channel]="maven default-jre-headless"
  [check]="bats tmux shellcheck jq mandoc libasan8 libubsan1 sqlite3 curl e2fsprogs xfsprogs btrfs-progs xz-utils git bindfs iproute2"
  [chroot]="debootstrap"
  [packages]="dpkg-dev debhelper fakeroot lintian rpm rpmlint"
  [node]="systemd"
  [coverage]="gcovr"
  [fuzz]="clang llvm libclang-rt-dev"
)

# missing_packages GROUP... : print those packages that are not installed.
missing_packages() {
  local group package
  for group in "$@"; do
    for package in ${AQ_PACKAGES[$group]}; do
      [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
        echo "$package"
    done
  done
}

# need_packages GROUP... : install what is missing, and say so.  Debian's
# Slurm and munge would start services of the system's own: policy-rc.d's
# answer 101 (see invoke-rc.d(8)) keeps them from it while we install.
need_packages() {
  local missing log status=0 policy=/usr/sbin/policy-rc.d ours=no
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  if [[ $EUID -ne 0 ]]; then
    echo "missing Debian packages: ${missing[*]}; as root: apt-get install ${missing[*]}" >&2
    return 1
  fi
  echo "  installing ${missing[*]}" >&2
  log=$(mktemp)
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    ours=yes
  fi
  { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
      --no-install-recommends "${missing[@]}"; }; } >"$log" 2>&1 </dev/null || status=$?
  [[ $ours == no ]] || rm -f "$policy"
  if ((status)); then
    tail -n 20 "$log" >&2
    echo "apt-get could not install ${missing[*]}: install them yourself, then start again" >&2
  fi
  rm -f "$log"
  return "$status"
}
