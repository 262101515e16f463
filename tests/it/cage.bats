#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Packages whose code attacks while their environment is built, as tests/it/attack.py
# has it.  What the cage stops goes through without it (it_uncaged), so that each
# attack is known to be one.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; a shell of its own

load lib

setup_file() {
  it_up
  it_wheels
  CANARY=$IT_DIR/canary
  export CANARY EVIL=$IT_DIR/evil
  mkdir -m 777 "$CANARY"
  mkdir -m 755 "$EVIL"
  "$AQ_LIB/make-package" "$EVIL" aq-nothing 1.0
  echo "channels = conda-forge=$AQ_CHANNEL evil=file://$EVIL" >>"$IT_DIR/etc/aq.conf"
  it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}' >/dev/null
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base.yaml"
  aq --node n1 build --json "$(it_small)" >"$IT_DIR/other"
  listen
}
teardown_file() {
  [[ ! -e ${IT_DIR-}/pids ]] || xargs kill <"$IT_DIR/pids" 2>/dev/null || :
  it_down
}
setup() {
  it_begin
  CACHE=$(it_cache n1)
  OTHER=$(basename "$(it_number prefix <"$IT_DIR/other")")
  VICTIM=$(cd "$CACHE/envs/$OTHER" && find . -name '*.sh' -links +1 | head -n 1)
}
teardown() {
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  it_end
}

# listen: a service at a port and one without a path, and a process of each
# account that has a secret; all end with the file.
listen() {
  python3 - "$IT_DIR" <<'PY' 3>&- >/dev/null 2>&1 &
import os, socket, sys, time
tcp = socket.create_server(("127.0.0.1", 0))
local = socket.socket(socket.AF_UNIX)
local.bind("\0aq-canary" + sys.argv[1])
local.listen()
with open(sys.argv[1] + "/port.new", "w") as f:
    f.write(str(tcp.getsockname()[1]))
os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
time.sleep(900)
PY
  echo "$!" >"$IT_DIR/pids"
  local user
  for user in "$AQ_BUILDER_USER" "$AQ_PROBE_USER"; do
    setpriv --reuid="$user" --regid="$user" --clear-groups env -i AQ_SECRET=x sleep 900 3>&- >/dev/null 2>&1 &
    echo "$!" >>"$IT_DIR/pids"
  done
  wait_until 10 test -e "$IT_DIR/port"
}

# arm NAME ATTACK...: what the code of packages is to try.
arm() {
  local name=$1
  shift
  VICTIM=$VICTIM NAME=$name OTHER=$OTHER CACHE=$CACHE python3 - "$@" >"$IT_DIR/attack.json" <<'PY'
import json, os, sys
at, e = os.environ["IT_DIR"], os.environ
pid = int(open(at + "/pids").read().split()[1])
print(json.dumps({"attacks": sys.argv[1:], "name": e["NAME"], "cache": e["CACHE"], "canary": e["CANARY"],
    "other": e["OTHER"], "victim": os.path.basename(e["VICTIM"]), "victim_pid": pid,
    "port": int(open(at + "/port").read()), "abstract": "aq-canary" + at}))
PY
  chmod 644 "$IT_DIR/attack.json"
}

code() { sed "s|@ATTACK@|$IT_DIR/attack.json|" "$BATS_TEST_DIRNAME/attack.py"; }

# wheel NAME / package NAME: the code, as it comes.
wheel() {
  it_wheel "$1" 1.0 --file "aq_attack_${1//-/_}.pth=import aq_attack_${1//-/_}"$'\n' \
    --file "aq_attack_${1//-/_}.py=$(code)"
}
package() {
  local site=lib/python3.12/site-packages
  "$AQ_LIB/make-package" "$EVIL" "$1" 1.0 --depends 'python 3.12.*' \
    --file "$site/aq_attack.pth=import aq_attack"$'\n' --file "$site/aq_attack.py=$(code)"
}

# builds NAME [COMMAND...]: build the request of that name by COMMAND; $said has
# what the attacks said, $status.
builds() {
  local name=$1
  shift
  run --separate-stderr "$@" aq --node n1 build --json "$IT_SUBMIT/$name.yaml"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  said=$(cat "$CACHE"/logs/*.log | grep '^ATTACK' || :)
  if [[ $said == "" ]]; then
    printf '%s\n' "$output" "$stderr" >&2
    return 1
  fi
}
asks_wheel() { it_file "$1.yaml" <<<"{dependencies: [python=3.9, {pip: [$1]}]}" >/dev/null; }

# stopped SAID / through SAID: every attack that is in it was.
stopped() { refute_contains "$1" through; }
through() {
  local attack
  for attack in "${@:2}"; do assert_contains "$1" "ATTACK $attack through"; done
}

readonly QUIET=(write_outside read_other chmod_other write_cache write_prefix reach_network
  reach_socket read_process signal_process gain_rights have_capabilities dump_core)

canaries_live() {
  assert_equal "$(ls -A "$CANARY")" ""
  assert_equal "$(find "$CACHE/work" -name aq-poison)" ""
  assert_equal "$(find "$CACHE/envs" -name aq-late)" ""
  assert_equal "$(find "$CACHE/envs" "$CACHE/work" -perm /6000)" ""
}

# heal: what the control has harmed.
heal() {
  find "$CACHE" -perm /6000 -exec chmod 0444 {} +
  find "$CANARY" "$CACHE" \( -name aq-poison -o -name aq-late -o -name 'written-*' \) -delete
}

@test "a wheel's code in the probe gets at nothing; without the cage it would" {
  arm probe "${QUIET[@]}"
  wheel aq-in
  wheel aq-out
  asks_wheel aq-in
  asks_wheel aq-out
  builds aq-in
  assert_equal "$status" 0
  stopped "$said"
  canaries_live
  rm "$CACHE"/logs/*
  builds aq-out it_uncaged
  through "$said" "${QUIET[@]}"
  [[ -n $(find "$CANARY" -type f) && -n $(find "$CACHE/work" -name aq-poison) ]]
  [[ -u $CACHE/envs/$OTHER/$VICTIM ]]
  heal
  canaries_live
}

@test "the same where mount_setattr, Landlock and openat2 are missing" {
  arm old "${QUIET[@]}"
  wheel aq-old
  asks_wheel aq-old
  rm -f "$CACHE"/logs/*
  builds aq-old it_without \
    mount_setattr,landlock_create_ruleset,landlock_add_rule,landlock_restrict_self,openat2,pidfd_open
  assert_equal "$status" 0
  stopped "$said"
  canaries_live
}

@test "a package's code in the prefix's own installer has the network and no cache" {
  local tries=(write_outside read_other chmod_other write_cache read_process signal_process reach_network)
  arm pip "${tries[@]}"
  package aq-pip-in
  package aq-pip-out
  it_wheel aq-plain 1.0 --file aq_plain.py=
  local name client prefix
  for name in aq-pip-in aq-pip-out; do
    it_file "$name.yaml" >/dev/null <<<"{channels: [conda-forge, evil], dependencies: [python=3.12, pip, $name, {pip: [aq-plain]}]}"
  done
  for client in uv pip; do
    [[ $client == uv ]] || echo "pip_client = pip" >>"$IT_DIR/etc/aq.conf"
    rm -f "$CACHE"/logs/*
    builds aq-pip-in
    assert_equal "$status" 0
    prefix=$(it_number prefix <<<"$output")
    stopped "$(tail -n "${#tries[@]}" <<<"$said")" # the probe is last
    stopped "$(grep -v reach_network <<<"$said")"
    stopped "$(grep -v reach_network "$prefix/aq-said")"
    through "$(cat "$prefix/aq-said")" reach_network # while it installs
    canaries_live
    # everything is root's or the caches' owner's again
    assert_equal "$(find "$prefix" -user "$AQ_PROBE_USER")" ""
    [[ -e $prefix/lib/python3.12/site-packages/aq_plain.py ]]
    it_drop_row n1 "$(basename "$prefix")"
    rm -rf "$prefix" "$CACHE/meta/$(basename "$prefix")"
  done
  rm -f "$CACHE"/logs/*
  builds aq-pip-out it_uncaged
  through "$(cat "$(it_number prefix <<<"$output")/aq-said")" "${tries[@]}"
  heal
  sed -i '/^pip_client = pip$/d' "$IT_DIR/etc/aq.conf"
}

@test "what a build leaves running ends with it, whatever session it is in" {
  arm in leave_daemon
  wheel aq-daemon-in
  asks_wheel aq-daemon-in
  rm -f "$CACHE"/logs/*
  builds aq-daemon-in
  assert_equal "$status" 0
  assert_contains "$said" "leave_daemon through"
  run ! pgrep -f '^aq-daemon-in'
  arm out leave_daemon
  wheel aq-daemon-out
  asks_wheel aq-daemon-out
  run --separate-stderr it_uncaged aq --node n1 build "$IT_SUBMIT/aq-daemon-out.yaml"
  run -0 pgrep -f '^aq-daemon-out'
  # shellcheck disable=SC2086 # words
  kill $output
}

@test "a fork bomb stops at the probe's limit" {
  arm forks fork_bomb
  wheel aq-forks-in
  wheel aq-forks-out
  asks_wheel aq-forks-in
  asks_wheel aq-forks-out
  rm -f "$CACHE"/logs/*
  builds aq-forks-in
  stopped "$said"
  rm -f "$CACHE"/logs/*
  builds aq-forks-out it_uncaged
  through "$said" fork_bomb
}

@test "a build that fills the disk is ended, and that is no verdict on the request" {
  arm disk fill_disk
  wheel aq-disk-in
  wheel aq-disk-out
  asks_wheel aq-disk-in
  asks_wheel aq-disk-out
  rm -f "$CACHE"/logs/*
  run -3 --separate-stderr aq --node n1 build "$IT_SUBMIT/aq-disk-in.yaml"
  assert_contains "$stderr" "fills the disk"
  assert_equal "$(find "$CACHE/work/probe" -name 'full-*')" ""
  rm -f "$CACHE"/logs/*
  builds aq-disk-out it_uncaged
  through "$said" fill_disk
}

@test "a client that runs link scripts can run none, and the package is named" {
  local tools wrapper rattler
  tools=$("$AQ_LIB/get-tools")
  script aq-script-none # the bundled client runs none by itself
  run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/aq-script-none.yaml"
  assert_contains "$stderr" "package 'aq-script-none' has a link script"
  # one that does, in every way that there is
  wrapper=$IT_DIR/evil-client/micromamba
  mkdir -p "$IT_DIR/evil-client"
  cat >"$wrapper" <<PY
#!$tools/bin/python -I
import glob, subprocess, sys
stand_in = "$(readlink -f "$BATS_TEST_DIRNAME/../clients/stand-in")"
subprocess.run([sys.executable, "-I", stand_in, "micromamba", "$IT_INSTALL/libexec/slurm-aq/aq-rattler", *sys.argv[1:]], check=True)
prefix = sys.argv[sys.argv.index("--prefix") + 1]
for script in glob.glob(prefix + "/bin/.*-post-link.sh"):
    for words in ([script], ["sh", script], ["/bin/sh", script], ["bash", script], ["/usr/bin/bash", script],
                  ["/lib64/ld-linux-x86-64.so.2", script]):
        try:
            subprocess.run(words, check=False)
        except OSError as e:
            print("script:", e, file=sys.stderr)
PY
  chmod 755 "$wrapper" "$IT_DIR/evil-client"
  script_is_stopped "$wrapper" aq-script
  # and rattler's own command line, where it is compiled (tests/lib/get-rattler)
  if rattler=$(compgen -G "$AQ_CACHE/rattler-*/bin/rattler"); then
    script_is_stopped "$rattler" aq-script-too
  fi
}

# script NAME: a package with a link script, and a request for it.
script() {
  "$AQ_LIB/make-package" "$EVIL" "$1" 1.0 \
    --file "bin/.$1-post-link.sh=#!/bin/sh"$'\n'"echo x >$CANARY/$1; echo x >$CACHE/pkgs/$1.ran"$'\n'
  it_file "$1.yaml" <<<"{channels: [conda-forge, evil], dependencies: [$1]}" >/dev/null
}

# script_is_stopped CLIENT NAME: with it the package is refused, and its script has
# not run; without the cage it has.
script_is_stopped() {
  { cat "$IT_DIR/etc/aq.conf" && echo "client = $1"; } >"$IT_DIR/etc/aq-evil.conf"
  script "$2-in"
  script "$2-out"
  run -1 --separate-stderr env AQ_CONF="$IT_DIR/etc/aq-evil.conf" aq --node n1 build "$IT_SUBMIT/$2-in.yaml"
  assert_contains "$stderr" "package '$2-in' has a link script ('bin/.$2-in-post-link.sh'), which this site refuses (aq.conf's policy: script=refuse)"
  [[ ! -e $CANARY/$2-in && ! -e $CACHE/work/pkgs/$2-in.ran ]]
  run --separate-stderr it_uncaged env AQ_CONF="$IT_DIR/etc/aq-evil.conf" \
    aq --node n1 build "$IT_SUBMIT/$2-out.yaml"
  # rattler has caches of its own, which are gone
  [[ -e $CANARY/$2-out && ($1 == */rattler || -e $CACHE/work/pkgs/$2-out.ran) ]] || { echo "$stderr" >&2; false; }
  rm -f "$CANARY"/* "$CACHE"/work/pkgs/*.ran
}

@test "without namespaces nothing is built, and that is the node's fault" {
  it_wheel aq-nowhere 1.0 --file aq_nowhere.py=
  asks_wheel aq-nowhere
  run -3 --separate-stderr it_without unshare=1 aq --node n1 build "$IT_SUBMIT/aq-nowhere.yaml"
  assert_contains "$stderr" "cannot make namespaces: EPERM"
  assert_contains "$stderr" "aq doctor"
  it_forget_failures n1
  run -3 --separate-stderr it_without mount=1 aq --node n1 build "$IT_SUBMIT/aq-nowhere.yaml"
  assert_contains "$stderr" "cannot make the mount namespace private: EPERM"
  it_forget_failures n1
  run -0 --separate-stderr aq --node n1 build "$IT_SUBMIT/aq-nowhere.yaml"
}

@test "in a chroot that is no mount point nothing shows outside of what is mounted for a build" {
  local root=$IT_DIR/plain request
  request=$(it_file plain.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo, python=3.9]}')
  mkdir "$root"
  # shared, so that it would show here; the first process is inside, where what the
  # chroot is on cannot be seen
  run -0 unshare --mount --propagation shared --pid --fork bash -euc '
    for dir in /*; do
      if [[ -L $dir ]]; then
        cp -P "$dir" "$0"
      elif [[ -d $dir ]]; then
        mkdir "$0$dir"
        mount --rbind "$dir" "$0$dir"
      fi
    done
    mount -t proc proc "$0/proc"
    cat /proc/self/mountinfo >"$0.before"
    chroot "$0" aq --node n1 build "$1" </dev/null | grep -q ^linked
    cat /proc/self/mountinfo >"$0.after"' "$root" "$request"
  run -0 diff "$root.before" "$root.after"
  rmdir "$root"/*/
  rm -r "$root"
}
