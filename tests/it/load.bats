#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many tasks at once over several nodes while collecting never stops: AQ_COUNT_LOAD tasks
# of one key, and as many of a fifth as many keys.  None fails, and what all of a node's
# tasks ask for is built once there.
# shellcheck disable=SC2154,SC2016 # jobs expand variables

load lib
readonly NODES=(n1 n2 n3 n4) JOB_TASKS=10 KEY_TASKS=5 VICTIMS=5
readonly LOAD_SECONDS=1200 # of 2,000 tasks and 400 builds, on two processors

setup_file() {
  it_up --nodes 4 --cpus 64
  # one that builds at once
  install -m 755 "$BATS_TEST_DIRNAME/../clients/faulty" "$IT_DIR/bin/rattler"
  echo none >"$IT_DIR/bin/FAULT"
  echo "client = $(it_client "$IT_DIR/bin/rattler")" >>"$IT_DIR/etc/aq.conf"
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  rm -f "$IT_SUBMIT"/*.out "$IT_DIR/stop" "$IT_DIR"/gc.*
  # there is always a reason to collect, but for what has just been used none
  it_limits "max_size = 1" "grace = 3600" "min_free = 0" "max_age = 0"
}
teardown() {
  touch "$IT_DIR/stop"
  scancel --quiet --user="$AQ_TEST_USER"
  it_end
}

asks() { it_file "load-$1.yaml" <<<"{channels: [conda-forge], dependencies: [x=$1]}"; }

# victims: each node has environments that can go.
victims() {
  local node i
  for node in "${NODES[@]}"; do
    for ((i = 1; i <= VICTIMS; i++)); do aq --node "$node" build "$(asks "9000$i")" >/dev/null 2>&1; done
    wait_while "$IT_BEHIND_SECONDS" it_has_workers "$node" # which uses them
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
db.execute("UPDATE environments SET last_used = 1")
db.commit()' "$(it_cache "$node")/cache.db"
  done
}

# collecting: on every node, until IT_DIR/stop is there.
collecting() {
  local node
  for node in "${NODES[@]}"; do
    (until [[ -e $IT_DIR/stop ]]; do aq --node "$node" gc >>"$IT_DIR/gc.$node" 2>&1 || echo FAILED >>"$IT_DIR/gc.$node"; done) 3>&- &
  done
}

# all_fine TASKS JOB...: every one of them ran in its environment.
all_fine() {
  local tasks=$1 job
  for job in "${@:2}"; do it_wait "$job" "$LOAD_SECONDS"; done
  touch "$IT_DIR/stop"
  wait
  assert_equal "$(cat "$IT_SUBMIT"/*.out | grep -vx 'content' | grep -v '^aq: ' || :)" ""
  assert_equal "$(cat "$IT_SUBMIT"/*.out | grep -cx content)" "$tasks"
  refute_contains "$(cat "$IT_DIR"/gc.n*)" FAILED
  # it had something to do
  [[ $(cat "$IT_DIR"/gc.n* | awk '/environments collected/ {n += $1} END {print n}') -eq $((VICTIMS * ${#NODES[@]})) ]]
}

# built_once: no key was resolved or installed twice on a node; prints how many were.
built_once() {
  local node all=0 n
  for node in "${NODES[@]}"; do
    it_calls "$node" | grep -oE '^(solve|create) .*' | sed -E 's/^(solve|create) .*\bx\W(version)?\W*([0-9]+).*/\1 \3/' | grep -v ' 9000' >"$IT_DIR/calls" || :
    assert_equal "$(grep '^solve' "$IT_DIR/calls" | sort | uniq -d)" ""
    n=$(grep -c '^solve' "$IT_DIR/calls" || :)
    all=$((all + n))
  done
  echo "$all"
}

SHOW='cat "$AQ_ENV_PREFIX/bin/tool"'

@test "all tasks of one key" {
  local tasks=${AQ_COUNT_LOAD:-40} job
  victims
  collecting
  job=$(it_submit --array="1-$((tasks / JOB_TASKS))" -N 1-4 -n "$JOB_TASKS" --aq-requirements="$(asks 1)" \
    --wrap "srun sh -c '$SHOW'")
  all_fine "$tasks" "$job"
  run built_once
  echo "# $tasks tasks of one key: $output builds" >&3
  ((output <= ${#NODES[@]}))
}

@test "tasks of many keys" {
  local tasks=${AQ_COUNT_LOAD:-40} i jobs=()
  victims
  collecting
  for ((i = 1; i <= tasks / KEY_TASKS; i++)); do
    jobs+=("$(it_submit -N 2 -n "$KEY_TASKS" --aq-requirements="$(asks "$i")" --wrap "srun sh -c '$SHOW'")")
  done
  all_fine "$tasks" "${jobs[@]}"
  run built_once
  echo "# $tasks tasks of $((tasks / KEY_TASKS)) keys: $output builds" >&3
  assert_equal "$output" $((2 * tasks / KEY_TASKS))
}
