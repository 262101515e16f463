#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What cannot be met fails the task, with the client's own reason, and nothing
# else: not the node, not the next request.
# shellcheck disable=SC2154 # bats sets stderr

load lib
setup_file() { it_up --nodes 2 --cpus 16; }
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

impossible() {
  it_file impossible.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, numpy=1.99]}'
}

@test "an impossible request fails its task with 125 and the client's reason" {
  it_forget
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$(impossible)" python -c pass
  assert_contains "$stderr" "numpy"
  assert_contains "$stderr" "1.99"
  assert_contains "$stderr" "log of the build: $(it_cache n1)/logs/"
  wait_until "$IT_JOB_SECONDS" it_is_clean n1 # a builder flushes after its answer
}

@test "an array of impossible requests: one attempt on each node, all fail with 125" {
  it_forget
  tasks=${AQ_COUNT_ARRAY_TASKS:-50}
  job=$(it_submit --array="1-$tasks" --aq-requirements="$(impossible)" --wrap "echo ran")
  watch_nodes & watcher=$!
  it_wait "$job" 300
  kill "$watcher" && wait "$watcher" || :
  it_job_is FAILED "$job"
  scontrol -o show job "$job" >"$IT_DIR/jobs"
  assert_equal "$(grep -c 'ExitCode=125:0' "$IT_DIR/jobs")" "$tasks"
  assert_equal "$(cat "$IT_SUBMIT/$job"_*.out | grep -c 'ran')" 0
  assert_equal "$(grep -l 'numpy' "$IT_SUBMIT/$job"_*.out | wc -l)" "$tasks"
  while read -r node; do
    assert_equal "$node: $(it_attempts "$node")" "$node: 1"
  done < <(grep -oE ' NodeList=n[0-9]' "$IT_DIR/jobs" | cut -d= -f2 | sort -u)
  [[ ! -s $IT_DIR/unwell ]]
}

# Note whatever a node becomes besides fit for jobs, at any time.
watch_nodes() {
  while sleep 0.2; do
    sinfo -h -N -o '%N %T' | grep -E 'down|drain|fail|error' >>"$IT_DIR/unwell" || :
  done 3>&-
}

@test "after it another request builds on the same node" {
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(it_small)" printenv AQ_RESOLUTION
  assert_equal "$output" "created"
}

@test "a package that nobody has is named" {
  file=$(it_file absent.yaml <<<'{channels: [conda-forge], dependencies: [no-such-thing]}')
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$file" true
  assert_contains "$stderr" "no-such-thing"
}
