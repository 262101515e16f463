#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# aq build --nodes on a real Slurm: in the nodes' caches, whatever becomes of one of them.
# shellcheck disable=SC2154 # bats sets stderr

load lib

setup_file() {
  it_up --nodes 3
  SMALL=$(it_small)
  NONE=$(it_file none.yaml <<<'{channels: [conda-forge], dependencies: [no-such-package]}')
  export SMALL NONE
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() {
  it_open
  it_end
}

is_queued() { [[ -n $(squeue -h -n aq-build) ]]; }

@test "each node builds what its jobs will find" {
  run -0 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq build --nodes 'n[1-2]' "$SMALL"
  assert_equal "$(grep -c '^n[12]: created  /' <<<"$output")" 2
  assert_equal "$stderr" ""
  assert_equal "$(it_builds n1) $(it_builds n2) $(it_builds n3)" "1 1 0"
  run -0 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq build --nodes n1,n3 --json "$SMALL"
  jq -e '[.nodes[] | {node, resolution}] | sort == [{node: "n1", resolution: "reused"},
    {node: "n3", resolution: "created"}]' <<<"$output"
  jq -e '.nodes[] | .error == null and (.lock | length == 64)' <<<"$output"
  # not in the caller's own cache, nor from inside of a job in that's place
  [[ ! -e $IT_SUBMIT/.cache ]]
  run -0 --separate-stderr as_user AQ_CONF="$AQ_CONF" srun -w n1 aq build --nodes n2 "$SMALL"
  assert_contains "$output" "n2: reused  /"
}

@test "why a node has not, and whose fault that is" {
  run -1 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq build --nodes n1 "$NONE"
  assert_contains "$output" "n1: failed: "
  assert_contains "$output$stderr" "no-such-package"
  assert_contains "$stderr" "aq: n1: log of the build: /"
  refute_contains "$stderr" "exit code 125"
  it_gate before solve
  run -4 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq build --nodes n[1-9] "$SMALL"
  assert_contains "$stderr" "Slurm has no node 'n4'"
  it_open
  mv "$IT_DIR/client" "$IT_DIR/client.away"
  it_forget
  run -3 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq build --nodes n3 "$SMALL"
  mv "$IT_DIR/client.away" "$IT_DIR/client"
  assert_contains "$output" "n3: failed: "
}

@test "interrupted, its jobs end, and what they build" {
  local pid
  it_forget
  it_gate before solve
  as_user AQ_CONF="$AQ_CONF" aq build --nodes n1,n2 "$SMALL" >/dev/null 2>&1 3>&- &
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  pid=$(pgrep -u "$AQ_TEST_USER" -f "aq build --nodes n1,n2 $SMALL")
  # shellcheck disable=SC2086 # pids
  kill -TERM $pid
  wait || :
  wait_while "$IT_JOB_SECONDS" is_queued
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n2
  assert_equal "$(it_builds n1) $(it_builds n2)" "0 0"
}
