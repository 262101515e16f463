#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the builder, wherever it is: the job fails and says so, the next
# one builds and succeeds, nothing half-built is ever taken for an environment.
# shellcheck disable=SC2154 # bats sets stderr

load lib
setup_file() { it_up; }
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  it_open
}
teardown() { it_open && it_end; }

# killed_at before|after VERB
killed_at() {
  local file job
  file=$(it_small)
  it_gate "$@"
  job=$(it_submit --aq-requirements="$file" --wrap "echo ran")
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  mapfile -t builders < <(it_builders n1)
  assert_equal "${#builders[@]}" 1
  kill -KILL "${builders[@]}"
  it_wait "$job"
  assert_contains "$(scontrol -o show job "$job")" "ExitCode=125:0"
  refute_contains "$(cat "$IT_SUBMIT/$job"_*.out)" "ran"
  wait_while 10 it_has_workers n1
  assert_equal "$(it_builds n1)" 0

  it_open
  run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION
  assert_equal "$output" "created"
  assert_equal "$(it_builds n1)" 1
  it_is_clean n1
  run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION
  assert_equal "$output" "reused"
}

@test "killed before it resolves" { killed_at before solve; }
@test "killed when it has resolved" { killed_at after solve; }
@test "killed before it installs" { killed_at before link; }
@test "killed when it has installed" { killed_at after link; }
