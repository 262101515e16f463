#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Attacks of a user without rights, on a node (n1) and on one of an older kernel
# (n2, without openat2, Landlock and mount_setattr): nothing comes of them.  Each
# has a control, which shows that it is one: the same attempt where what stops it is
# not there.  docs/threat-model.md has what stops what; what packages' code tries
# while it is built is in cage.bats.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr; each test is a subshell
# shellcheck disable=SC2016 # jobs expand variables

load lib

readonly OLDER=openat2,mount_setattr,landlock_create_ruleset,landlock_add_rule,landlock_restrict_self
readonly NODES=(n1 n2)

setup_file() {
  it_up --nodes 3
  it_wheels
  export HOSTILE=$IT_DIR/hostile CANARY=$IT_DIR/canary
  mkdir -m 755 "$HOSTILE"
  mkdir -m 1777 "$CANARY"
  python3 "$BATS_TEST_DIRNAME/hostile.py" make "$HOSTILE" "$WHEELS" "$CANARY" >"$IT_DIR/archives"
  printf '%s\n' "channels = conda-forge=$AQ_CHANNEL hostile=file://$HOSTILE" \
    'max_builds = 3' 'max_builds_user = 3' >>"$IT_DIR/etc/aq.conf"
  it_file victim.yaml <<<'{channels: [hostile], dependencies: [aq-victim]}' >/dev/null
  it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.12, pip]}' >/dev/null
  node_without n2 "$OLDER"
  node_without n3 unshare=1
  local node
  for node in "${NODES[@]}"; do
    aq --node "$node" base add 3.12 --file "$IT_SUBMIT/base.yaml" >/dev/null
    as_user srun -w "$node" --aq-requirements="$IT_SUBMIT/victim.yaml" printenv AQ_ENV_PREFIX >"$IT_DIR/victim-$node" 2>/dev/null
  done
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() {
  it_open
  if [[ -e $IT_DIR/hears ]]; then
    kill "$(<"$IT_DIR/hears")"
    rm "$IT_DIR/hears"
  fi
  it_end
}

# node_without NODE CALLS: it, where these system calls fail.
node_without() {
  it_kill_node "$1" TERM
  (
    # shellcheck disable=SC2030
    PATH=$IT_INSTALL/tests:$PATH
    cluster_daemon "$IT_DIR" "$IT_INSTALL/tests/without-calls" "$2" slurmd -N "$1" 3>&-
  )
  wait_until 30 it_node_answers "$1"
  wait_until 30 cluster_is_idle "$IT_DIR"
}

hostile() { python3 "$BATS_TEST_DIRNAME/hostile.py" "$@"; }

# stopped / through: what each line of stdin says became of an attack.
all_stopped() { ! grep -v ': stopped\| stopped: ' >&2; }
all_through() { ! grep -v ' through$' >&2; }

@test "archives: paths that lead out, links, devices, set-id bits, capabilities" {
  local node name request harmed
  # a client that takes each at its word is harmed
  hostile control "$IT_DIR/naive" "$HOSTILE" "$WHEELS" "$CANARY" >"$IT_DIR/control"
  assert_equal "$(grep -c . "$IT_DIR/control")" "$(grep -c . "$IT_DIR/archives")"
  run ! grep -vE '^[^ ]+ .' "$IT_DIR/control"
  while read -r name request; do
    echo "$request" | it_file "$name.yaml" >/dev/null
    for node in "${NODES[@]}"; do
      as_user srun -w "$node" --overlap --aq-requirements="$IT_SUBMIT/$name.yaml" true \
        </dev/null >"$IT_DIR/said-$node-$name" 2>&1 3>&- &
    done
  done <"$IT_DIR/archives"
  wait
  for node in "${NODES[@]}"; do
    harmed=$(hostile harm "$(it_cache "$node")/work/pkgs" "$(it_cache "$node")/envs" "$CANARY")
    assert_equal "$harmed" ""
    assert_equal "$(cat "$(<"$IT_DIR/victim-$node")/share/aq-victim")" good
    for name in replace rewrite link remove absolute escaped; do
      assert_contains "$(cat "$IT_DIR/said-$node-paths-$name")" "has a path that leads out of the prefix"
    done
    assert_contains "$(cat "$IT_DIR/said-$node-files-replace")" "has a path that leads out of the prefix"
    assert_contains "$(cat "$IT_DIR/said-$node-link-and-wheel")" "a link that climbs out of the environment"
  done
}

@test "a package of another channel with the same name, version and build" {
  local node
  it_file other.yaml <<<'{channels: [hostile], dependencies: [activate-demo]}' >/dev/null
  for node in "${NODES[@]}"; do
    run -0 --separate-stderr as_user srun -w "$node" --aq-requirements="$IT_SUBMIT/other.yaml" \
      sh -c 'cat $AQ_ENV_PREFIX/share/aq-evil; echo "$ACTIVATE_DEMO"'
    assert_equal "$output" evil
    run -0 --separate-stderr as_user srun -w "$node" --aq-requirements="$(it_small)" \
      sh -c 'ls $AQ_ENV_PREFIX/share; echo "$ACTIVATE_DEMO"'
    refute_contains "$output" evil
    assert_contains "$output" "on:"
  done
}

# open_copy NODE: its files as the attacker's own, as if nothing were closed; of environments
# and of what builds work with, which are large, what is tried.
open_copy() {
  local lib=$IT_DIR/nodes/$1/lib file
  OPEN=$IT_DIR/open-$1
  mkdir -p "$OPEN/lib/envs" "$OPEN/lib/work"/{pkgs,wheels,probe}
  # links that lead nowhere
  cp -aL "$IT_DIR/nodes/$1"/{run,run-public,aq.*} "$OPEN" 2>/dev/null || :
  for file in "$lib"/*; do
    [[ $file == */envs || $file == */work ]] || cp -aL "$file" "$OPEN/lib"
  done
  cp -aL "$(<"$IT_DIR/victim-$1")" "$OPEN/lib/envs"
  touch "$OPEN/run/leases/1.0.4294967295.$1" # its own has ended
  chown -hR "$AQ_TEST_USER:" "$OPEN"
  chmod -R u+rwX "$OPEN"
}

@test "files: databases, locks, leases, caches, environments, what others are told" {
  local node said other tries
  other=$(id -u "$AQ_OTHER_USER")
  install -m 600 /dev/null "$IT_DIR/etc/aq.credentials"
  for node in "${NODES[@]}"; do
    tries=(env "IT_SUBMIT=$IT_SUBMIT" /usr/bin/python3 -I "$BATS_TEST_DIRNAME/attack_user.py" files)
    as_user -u "$AQ_OTHER_USER" srun -w "$node" --aq-workflow=w --aq-requirements="$IT_SUBMIT/victim.yaml" true
    wait_until "$IT_JOB_SECONDS" test -e "$IT_DIR/nodes/$node/run-public/workflows/$other"
    ln -s "$IT_DIR/etc/aq.credentials" "$IT_DIR/etc/aq.conf" "$IT_DIR/nodes/$node/"
    # a step that holds something, as it has a lease then
    said=$(as_user srun -w "$node" --aq-requirements="$IT_SUBMIT/victim.yaml" \
      "${tries[@]}" "$IT_DIR/nodes/$node" "$(basename "$(<"$IT_DIR/victim-$node")")" "$other")
    all_stopped <<<"$said"
    refute_contains "$said" FileNotFound
    open_copy "$node"
    rm "$IT_DIR/nodes/$node"/aq.*
    as_user "${tries[@]}" "$OPEN" "$(basename "$(<"$IT_DIR/victim-$node")")" "$other" >"$IT_DIR/tried"
    all_through <"$IT_DIR/tried"
    assert_equal "$(wc -l <<<"$said")" "$(wc -l <"$IT_DIR/tried")"
    rm -r "$OPEN"
  done
}

# pids_of_build NODE: of a waiting task, its watcher, the build's supervisor, and the
# client that it runs.
pids_of_build() {
  local watcher
  watcher=$(it_watchers | head -n 1)
  echo "task=$(ps -o ppid= -p "$watcher" | tr -d ' ') watcher=$watcher" \
    "supervisor=$(it_builders "$1" | head -n 1) client=$(pgrep -f -u "$AQ_BUILDER_USER" "$IT_DIR/client/" | head -n 1)"
}
is_watched() { [[ -n $(it_watchers) ]]; }

@test "processes: the waiting task, its watcher, the supervisor and the client" {
  local node job pids said
  # on a child of one's own all goes through
  as_user /usr/bin/python3 -I "$BATS_TEST_DIRNAME/attack_user.py" control /bin/sleep 60 >"$IT_DIR/tried"
  all_through <"$IT_DIR/tried"
  for node in "${NODES[@]}"; do
    it_gate before solve
    echo "{channels: [hostile], dependencies: [aq-victim], variables: {N: $node}}" | it_file "$node.yaml" >/dev/null
    echo "{channels: [hostile], dependencies: ['aq-victim >=0.1']}" | it_file waited.yaml >/dev/null
    job=$(it_submit -w "$node" --aq-requirements="$IT_SUBMIT/waited.yaml" --wrap "echo ran")
    wait_until "$IT_JOB_SECONDS" it_is_at_gate
    wait_until "$IT_JOB_SECONDS" is_watched
    read -ra pids < <(pids_of_build "$node")
    said=$(as_user srun -w "$node" --overlap \
      /usr/bin/python3 -I "$BATS_TEST_DIRNAME/attack_user.py" processes "${pids[@]}")
    all_stopped <<<"$said"
    refute_contains "$said" ProcessLookup
    refute_contains "$said" FileNotFound
    assert_equal "$(wc -l <<<"$said")" 40
    it_open
    it_wait "$job"
    assert_contains "$(cat "$IT_SUBMIT/$job"_*.out)" ran
    it_begin
  done
}

@test "processes: a watcher that can be read lets its descriptor be taken" {
  cp "$IT_INSTALL/libexec/slurm-aq/aq-watch" "$IT_DIR/watch"
  for mode in 755 711; do
    chmod "$mode" "$IT_DIR/watch"
    as_user /usr/bin/python3 -I "$BATS_TEST_DIRNAME/attack_user.py" control "$IT_DIR/watch" >"$IT_DIR/tried-$mode"
  done
  all_through <"$IT_DIR/tried-755"
  run -0 grep -c '^ATTACK \(attach\|take_descriptor\|write_memory\|list_descriptors\|reopen_files\) stopped' "$IT_DIR/tried-711"
  assert_equal "$output" 5
}

# variables: NAME|VALUE|COMMAND, which obeys it; @ is EVIL, UV and PIP ask
# an index.
variables() {
  cat <<TABLE
PATH|@/bin:/usr/bin:/bin|uv --version
LD_PRELOAD|@/mark.so|/bin/true
LD_AUDIT|@/mark.so|/bin/true
LD_LIBRARY_PATH|@/lib|@/linked
PYTHONPATH|@/py|/usr/bin/python3 -c pass
PYTHONHOME|@/home|/usr/bin/python3 -c pass
PYTHONSTARTUP|@/py/sitecustomize.py|/usr/bin/python3 -i
PYTHONUSERBASE|@/base|/usr/bin/python3 -c pass
BASH_ENV|@/sh|bash -c :
ENV|@/sh|sh -i
HOME|@/home|UV
XDG_CONFIG_HOME|@/home/.config|UV
XDG_CACHE_HOME|@/tmp/cache|CACHED --default-index file:///none
TMPDIR|@/tmp|mktemp
UV_CONFIG_FILE|@/home/.config/uv/uv.toml|UV
UV_DEFAULT_INDEX|http://127.0.0.1:$PORT/simple|UV
UV_INDEX_URL|http://127.0.0.1:$PORT/simple|UV
UV_EXTRA_INDEX_URL|http://127.0.0.1:$PORT/simple|UV --default-index file:///none
UV_FIND_LINKS|http://127.0.0.1:$PORT/links|UV --default-index file:///none
UV_CACHE_DIR|@/tmp/uv|CACHED --default-index file:///none
PIP_CONFIG_FILE|@/pip.conf|PIP
PIP_INDEX_URL|http://127.0.0.1:$PORT/simple|PIP
PIP_EXTRA_INDEX_URL|http://127.0.0.1:$PORT/simple|PIP --index-url file:///none
PIP_PROXY|http://127.0.0.1:$PORT|PIP --index-url https://nowhere.invalid/simple
http_proxy|http://127.0.0.1:$PORT|UV --default-index http://nowhere.invalid/simple
https_proxy|http://127.0.0.1:$PORT|UV --default-index https://nowhere.invalid/simple
ALL_PROXY|http://127.0.0.1:$PORT|UV --default-index http://nowhere.invalid/simple
TABLE
}
# what no client here reads, but others do
readonly MORE=(CONDARC CONDA_CHANNELS CONDA_ENVS_PATH CONDA_PKGS_DIRS MAMBARC MAMBA_ROOT_PREFIX
  RATTLER_CACHE_DIR RATTLER_AUTH_FILE RATTLER_CONFIG NETRC SSL_CERT_FILE REQUESTS_CA_BUNDLE
  XDG_DATA_HOME XDG_RUNTIME_DIR GCONV_PATH IFS PS4 AQ_CONF AQ_ENV_PREFIX)

# evil_things: what the variables lead to, in EVIL, which is the attacker's.
evil_things() {
  EVIL=$IT_SUBMIT/evil
  local version mark
  version=$(/usr/bin/python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  mkdir -p "$EVIL"/{bin,lib,py,tmp,home/.config/uv,home/lib/"$version"/encodings} "$EVIL/base/lib/$version/site-packages"
  chmod 1777 "$EVIL/tmp"
  # says who it is where it can, and in a build's log
  cat >"$EVIL/mark.c" <<C
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
unsigned int la_version(unsigned int v) { return v; }
__attribute__((constructor)) static void mark(void)
{
	char name[256];
	snprintf(name, sizeof(name), "$CANARY/%u", geteuid());
	close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	dprintf(2, "ATTACK as %u\n", geteuid());
}
C
  echo 'int main(void) { return 0; }' >"$EVIL/main.c"
  gcc -shared -fPIC -o "$EVIL/mark.so" "$EVIL/mark.c"
  cp "$EVIL/mark.so" "$EVIL/lib/libaqmark.so"
  gcc -o "$EVIL/linked" "$EVIL/main.c" -Wl,--no-as-needed -L"$EVIL/lib" -laqmark
  mark="import os, sys; open('$CANARY/%d' % os.geteuid(), 'w').close(); print('ATTACK as', os.geteuid(), file=sys.stderr)"
  echo "$mark" | tee "$EVIL/py/sitecustomize.py" "$EVIL/base/lib/$version/site-packages/usercustomize.py" >/dev/null
  # where nothing is imported yet
  echo "import posix; posix.open('$CANARY/%d' % posix.geteuid(), posix.O_WRONLY | posix.O_CREAT); posix.write(2, b'ATTACK')" \
    >"$EVIL/home/lib/$version/encodings/__init__.py"
  # shellcheck disable=SC2016 # its own
  printf 'echo >%q/$(/usr/bin/id -u); echo "ATTACK as $(/usr/bin/id -u)" >&2\n' "$CANARY" >"$EVIL/sh"
  printf '#!/bin/sh\n. %q/sh\n' "$EVIL" | tee "$EVIL"/bin/{uv,python,python3,sh,env,aq-rattler} >/dev/null
  chmod 755 "$EVIL"/bin/*
  printf 'index-url = "http://127.0.0.1:%s/simple"\n' "$PORT" >"$EVIL/home/.config/uv/uv.toml"
  printf '[global]\nindex-url = http://127.0.0.1:%s/simple\n' "$PORT" >"$EVIL/pip.conf"
  chown -hR "$AQ_TEST_USER:" "$EVIL"
  chown root: "$EVIL/tmp"
}

# hear: a server that notes who comes; PORT.
hear() {
  rm -f "$IT_DIR/port" "$IT_DIR/heard"
  python3 - "$IT_DIR" <<'PY' 3>&- >/dev/null 2>&1 &
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + "/port.new", "w") as f:
    f.write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
server.settimeout(600)
while True:
    client = server.accept()[0]
    with open(sys.argv[1] + "/heard", "ab") as f:
        f.write(client.recv(100) + b"\n")
    client.sendall(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    client.close()
PY
  echo "$!" >"$IT_DIR/hears"
  wait_until 10 test -e "$IT_DIR/port"
  PORT=$(<"$IT_DIR/port")
}

# came: whether anybody did; all who are through have been noted once we were.
came() {
  exec 9<>"/dev/tcp/127.0.0.1/$PORT"
  echo ours >&9
  cat <&9 >/dev/null
  exec 9>&-
  grep -qvx 'ours\|' "$IT_DIR/heard"
}

# touched: whether somebody else than the attacker came, ran or wrote.
touched() {
  came || [[ -n $(find "$CANARY" "$EVIL/tmp" -mindepth 1 ! -user "$AQ_TEST_USER") ]]
}
untouch() {
  rm -rf "$IT_DIR/heard" "${CANARY:?}"/* "$EVIL"/tmp/*
}

# obeys NAME VALUE COMMAND: a program of builder_user's that has this variable.
obeys() {
  local uv pip
  uv="$("$AQ_LIB/get-tools")/bin/uv pip compile - --python-version 3.12 --no-python-downloads"
  pip="$(it_cache n1)/envs/$(it_base n1)/bin/python -m pip download --no-deps --retries 0 -d $EVIL/tmp aq-none"
  set -- "$1" "${2//@/$EVIL}" "${3//@/$EVIL}"
  set -- "$1" "$2" "${3/#CACHED/$uv}"
  set -- "$1" "$2" "${3/#UV/$uv --no-cache}"
  # shellcheck disable=SC2086 # words
  echo aq-none | setpriv --reuid="$AQ_BUILDER_USER" --regid="$AQ_BUILDER_USER" --clear-groups \
    env -i PATH=/usr/bin:/bin HOME=/nonexistent "$1=$2" timeout 20 ${3/#PIP/$pip} >"$IT_DIR/obeyed" 2>&1 || :
}
it_base() { aq --node "$1" base list --json | jq -r '.bases[0].name'; }

@test "variables of the submitter reach no program of a build" {
  local node name value command all=() names
  hear
  evil_things
  # each alone changes what a program does
  while IFS='|' read -r name value command; do
    obeys "$name" "$value" "$command" </dev/null
    touched || { echo "$name: $(<"$IT_DIR/obeyed")" >&2; false; }
    untouch
    all+=("$name=${value//@/$EVIL}")
  done < <(variables)
  for name in "${MORE[@]}"; do all+=("$name=$EVIL/$name"); done
  # a client, and the code of a package in the probe, that say which they have
  it_wheel aq-names 1.0 --file aq_names.pth=$'import os, sys; print(*("NAME " + n for n in os.environ), sep="\\n", file=sys.stderr)\n'
  mkdir -p "$IT_DIR/names"
  printf '%s\n' '#!/usr/bin/python3 -I' 'import os, sys' \
    'print(*("NAME " + n for n in os.environ), sep="\n", file=sys.stderr)' \
    "os.execv('$IT_DIR/client/aq-rattler', ['aq-rattler', *sys.argv[1:]])" >"$IT_DIR/names/aq-rattler"
  chmod 755 "$IT_DIR/names" "$IT_DIR/names/aq-rattler"
  echo "client = $IT_DIR/names/aq-rattler" >>"$IT_DIR/etc/aq.conf"
  for node in "${NODES[@]}"; do
    echo "{channels: [conda-forge, hostile], dependencies: [python=3.12, aq-victim, {pip: [aq-names]}], variables: {N: $node}}" | it_file names.yaml >/dev/null
    rm -f "$(it_cache "$node")"/logs/*
    run -0 --separate-stderr as_user "${all[@]}" "$(command -v srun)" -w "$node" --aq-requirements="$IT_SUBMIT/names.yaml" /bin/true
    wait_while "$IT_BEHIND_SECONDS" it_has_workers "$node"
    run ! touched
    run ! grep -h ATTACK "$(it_cache "$node")"/logs/*
    names=$(cat "$(it_cache "$node")"/logs/* | sed -n 's/^NAME //p' | sort -u)
    assert_contains "$names" PYTHONDONTWRITEBYTECODE
    run ! grep -vxE 'PATH|LANG|HOME|PYTHONDONTWRITEBYTECODE|TMPDIR|LC_CTYPE|CONDA_.*|_|PWD|SHLVL|OLDPWD' <<<"$names"
    # the same program, started by the attacker, has them
    names=$(as_user "${all[@]}" "$IT_DIR/names/aq-rattler" --version 2>&1 || :)
    for name in "${MORE[@]}"; do assert_contains "$names" "NAME $name"; done
    # what ran was the attacker's own
    untouch
  done
  sed -i '\|names/aq-rattler|d' "$IT_DIR/etc/aq.conf"
}

# forged: what somebody writes into SLURM_AQ_REQUEST, a part of a line each; the
# first word of a line is which client would take it.
forged() {
  cat <<TABLE
rattler channel file://$EVIL_CHANNEL
rattler conda --channel=file://$EVIL_CHANNEL
rattler conda file://$EVIL_CHANNEL::aq-secret
uv pip --index-url=http://127.0.0.1:$PORT/simple
uv pip --find-links=http://127.0.0.1:$PORT/simple
uv pip --requirement=$IT_SUBMIT/more.txt
uv pip aq-secret @ file://$IT_SUBMIT/aq_secret-1.0-py3-none-any.whl
uv pip aq-secret @ http://127.0.0.1:$PORT/aq_secret-1.0-py3-none-any.whl
uv pip aq-secret @ git+http://127.0.0.1:$PORT/aq
uv pip $IT_SUBMIT/aq_secret-1.0-py3-none-any.whl
uv constraint --index-url=http://127.0.0.1:$PORT/simple
none variable SLURM_JOB_UID=0
none variable AQ_ENV_PREFIX=/tmp
none variable A-B=1
none inherit yes
none conda AQ-victim
none conda aq-victim  >=1
none conda aq-victim;id
none conda ../aq-victim
none channel ../hostile
none conda aq-victim$(printf '\033[2J')
none conda aq-victim$(printf '\r')
none python 3.12
none domain private 0 root
TABLE
}

# takes_words CLIENT KIND WORDS: whether that client does what they say.
takes_words() {
  local tools
  tools=$("$AQ_LIB/get-tools")
  if [[ $1 == rattler ]]; then
    local words=(--channel "$3" -- aq-secret)
    [[ $2 == channel ]] || words=(--channel "$AQ_CHANNEL" "$3" aq-secret)
    [[ $3 != *::* ]] || words=(--channel "file://$EVIL_CHANNEL" aq-secret) # by URL it is the same
    "$IT_DIR/bin/aq-rattler" solve --platform linux-64 --cache "$IT_DIR/words" "${words[@]}" | grep -q aq-secret
  else
    local asks=aq-none
    [[ $3 != *secret* ]] || asks=
    printf '%s\n' "$3" $asks | timeout 20 "$tools/bin/uv" pip compile - --no-cache --no-config --no-python-downloads --python-version 3.12 \
      >"$IT_DIR/obeyed" 2>&1 || :
    came || grep -q '^[^#].*aq[-_]secret\|^aq-secret' "$IT_DIR/obeyed"
  fi
}

@test "requests that somebody made up in the environment are refused on the node" {
  local node client words text before lines
  EVIL_CHANNEL=$IT_SUBMIT/channel
  hear
  "$AQ_LIB/make-package" "$EVIL_CHANNEL" aq-secret 1.0
  "$AQ_LIB/make-wheel" "$IT_SUBMIT" aq-secret 1.0 >/dev/null
  printf -- '--index-url=http://127.0.0.1:%s/simple\naq-none\n' "$PORT" | it_file more.txt >/dev/null
  while read -r client words; do
    [[ $client != none ]] || continue
    takes_words "$client" "${words%% *}" "${words#* }" </dev/null || { echo "$words: $(<"$IT_DIR/obeyed")" >&2; false; }
    rm -f "$IT_DIR/heard"
  done < <(forged)
  for node in "${NODES[@]}"; do
    # what is made up well is what a submitter could have asked for
    run -0 --separate-stderr as_user SLURM_AQ_REQUEST=$'aq-request 1\nchannel hostile\nconda aq-victim\n' \
      srun -w "$node" printenv AQ_RESOLUTION
    assert_equal "$output" reused
    before=$(it_attempts "$node")
    while read -r client words; do
      text=$'aq-request 1\n'
      [[ $words != pip* && $words != constraint* ]] || text+=$'python 3.12.*\n'
      [[ $words == channel* ]] || text+=$'channel hostile\n'
      [[ $words == conda* || $words == pip* || $words == python* ]] || text+=$'conda aq-victim\n'
      text+=$words$'\n'
      run -125 --separate-stderr as_user SLURM_AQ_REQUEST="$text" srun -w "$node" echo ran </dev/null
      assert_equal "$output" ""
      [[ $stderr != *$'\e'* ]]
    done < <(forged)
    for text in "" x $'aq-request 2\nconda aq-victim\n' $'aq-request 1\nconda aq-victim' \
      "$(printf 'aq-request 1\n%s' "$(printf 'conda aq-victim%05d\n' {1..2500})")"$'\n'; do
      run -125 --separate-stderr as_user SLURM_AQ_REQUEST="$text" srun -w "$node" echo ran
      assert_equal "$output" ""
    done
    assert_equal "$(it_attempts "$node")" "$before"
    run ! came
  done
}

@test "what a user's own Slurm configuration says to the prolog: no more than a digest is noted" {
  local node job mark digest value
  it_forging_slurm
  digest=$(printf 'aq-request 1\nchannel hostile\nconda aq-victim\n' | sha256sum | cut -d ' ' -f 1)
  for node in "${NODES[@]}"; do
    # that one is noted, so what is forged gets there
    for value in "$digest" ../../../etc/passwd "${digest^^}" "$digest"$'\nused x' "${digest}0" ""; do
      rm -f "$IT_SUBMIT/up" "$IT_SUBMIT/go"
      job=$(as_user SLURM_CONF="$FORGED" FORGE="$value" sbatch --parsable -w "$node" -o /dev/null \
        --wrap "touch $IT_SUBMIT/up; while [ ! -e $IT_SUBMIT/go ]; do sleep 0.05; done" 2>/dev/null)
      wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/up"
      mark=$(cat "$IT_DIR/nodes/$node/run/jobs/$job.$node" 2>/dev/null || :)
      touch "$IT_SUBMIT/go"
      it_wait "$job"
      if [[ $value == "$digest" ]]; then assert_contains "$mark" "holds "; else assert_equal "$mark" ""; fi
    done
  done
}

@test "a workflow that somebody made up is none" {
  local node value made_up=("../x 1" "w 1 2" "w 99999999999999999999" "w -1" $'w\n1' "$(printf 'w%.0s' {1..5000}) 1")
  for node in "${NODES[@]}"; do
    for value in "${made_up[@]}" "aq-forged 1"; do
      run -0 --separate-stderr as_user SLURM_AQ_WORKFLOW="$value" SLURM_AQ_REQUEST=$'aq-request 1\nchannel hostile\nconda aq-victim\n' \
        srun -w "$node" printenv AQ_RESOLUTION
      assert_equal "$output" reused
    done
    # one that is written as ours is the attacker's own, and there
    wait_until "$IT_JOB_SECONDS" test -e "$IT_DIR/nodes/$node/run-public/workflows/$(id -u "$AQ_TEST_USER")"
    run -0 --separate-stderr aq --node "$node" workflow list --json
    assert_equal "$(jq -r --argjson me "$(id -u "$AQ_TEST_USER")" '[.workflows[] | select(.uid == $me) | .name] | join(" ")' <<<"$output")" aq-forged
  done
}

@test "without namespaces nothing is built, and the task says so" {
  run -125 --separate-stderr as_user srun -w n3 --aq-requirements="$IT_SUBMIT/victim.yaml" echo ran
  assert_equal "$output" ""
  assert_contains "$stderr" "cannot make namespaces: EPERM"
  assert_contains "$stderr" "nothing is built on this node without"
  assert_equal "$(it_builds n3)" 0
}
