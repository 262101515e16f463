#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Attacks of a user without rights, on a node (n1) and on one of an older kernel
# (n2, without openat2, Landlock and mount_setattr): nothing comes of them.  Each
# has a control, which shows that it is one: the same attempt where what stops it is
# not there.  docs/threat-model.md has what stops what; what packages' code tries
# while it is built is in cage.bats.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr; each test is a subshell

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
user_tries() { python3 -I "$BATS_TEST_DIRNAME/attack_user.py" "$@"; }

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

# open_copy NODE: its files as the attacker's own, as if nothing were closed.
open_copy() {
  OPEN=$IT_DIR/open-$1
  cp -aL "$IT_DIR/nodes/$1" "$OPEN" 2>/dev/null || : # links that lead nowhere
  touch "$OPEN/run/leases/1.0.4294967295.$1"         # its own has ended
  chown -hR "$AQ_TEST_USER:" "$OPEN"
  chmod -R u+rwX "$OPEN"
}

@test "files: databases, locks, leases, caches, environments, what others are told" {
  local node said other tries
  other=$(id -u "$AQ_OTHER_USER")
  install -m 600 /dev/null "$IT_DIR/etc/aq.credentials"
  for node in "${NODES[@]}"; do
    tries=(/usr/bin/python3 -I "$BATS_TEST_DIRNAME/attack_user.py" files)
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
  watcher=$(pgrep -u "$AQ_TEST_USER" -x aq-watch | head -n 1)
  echo "task=$(ps -o ppid= -p "$watcher" | tr -d ' ') watcher=$watcher" \
    "supervisor=$(it_builders "$1" | head -n 1) client=$(pgrep -f -u "$AQ_BUILDER_USER" "$IT_DIR/client/" | head -n 1)"
}
is_watched() { pgrep -u "$AQ_TEST_USER" -x aq-watch >/dev/null; }

@test "processes: the waiting task, its watcher, the supervisor and the client" {
  local node job pids said
  # on a process of one's own all goes through, but where Yama keeps them apart
  as_user /usr/bin/python3 -I "$BATS_TEST_DIRNAME/attack_user.py" control >"$IT_DIR/tried"
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
  local watch=$IT_DIR/watch pid
  cp "$IT_INSTALL/libexec/slurm-aq/aq-watch" "$watch"
  chmod 755 "$watch"
  mkfifo "$IT_DIR/pipe"
  chmod 666 "$IT_DIR/pipe"
  as_user sh -c 'exec "$0" <>"$1"' "$watch" "$IT_DIR/pipe" 3>&- &
  wait_until 10 pgrep -u "$AQ_TEST_USER" -x watch
  pid=$(pgrep -u "$AQ_TEST_USER" -x watch)
  as_user /usr/bin/python3 -I "$BATS_TEST_DIRNAME/attack_user.py" processes "watcher=$pid" >"$IT_DIR/tried"
  kill "$pid"
  all_through <"$IT_DIR/tried"
}
