#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the builder, wherever it is: the job fails and says so, the next
# one builds and succeeds, nothing half-built is ever taken for an environment.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

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
  wait_until "$IT_BEHIND_SECONDS" it_is_clean n1
  run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION
  assert_equal "$output" "reused"
}

@test "what a killed one left for its key goes with the next collection" {
  local file job
  file=$(it_small)
  it_gate after solve
  job=$(it_submit --aq-requirements="$file" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  run -0 it_gc_beside n1
  assert_contains "$(it_key_files n1)" "locks/key-"
  assert_contains "$(it_key_files n1)" "builds/"
  mapfile -t builders < <(it_builders n1)
  kill -KILL "${builders[@]}"
  it_wait "$job"
  wait_while 10 it_has_workers n1
  [[ -n $(it_key_files n1) ]]
  run -0 it_gc n1
  assert_equal "$(it_key_files n1)" ""
}

@test "killed before it resolves" { killed_at before solve; }
@test "killed when it has resolved" { killed_at after solve; }
@test "killed before it installs" { killed_at before link; }
@test "killed when it has installed" { killed_at after link; }

@test "killed at any moment: the next job has a whole environment" {
  local file round tries=${AQ_COUNT_BUILDER_KILLS:-3}
  file=$(it_small)
  RANDOM=${AQ_SEED:-1}
  for ((round = 1; round <= tries; round++)); do
    it_forget
    job=$(it_submit --aq-requirements="$file" --wrap true)
    wait_until "$IT_JOB_SECONDS" it_has_begun "$job"
    sleep "0.$((RANDOM % 6))$((RANDOM % 10))" # a build takes about that long
    mapfile -t builders < <(it_builders n1)
    ((${#builders[@]} == 0)) || kill -KILL "${builders[@]}" || :
    it_wait "$job"
    run -0 --separate-stderr as_user srun --aq-requirements="$file" \
      sh -c 'cat "$AQ_ENV_PREFIX/etc/conda/activate.d/activate-demo.sh"'
    assert_contains "$output" "ACTIVATE_DEMO"
    # a builder ends a moment after it has answered
    wait_until "$IT_BEHIND_SECONDS" it_is_clean n1 || find "$(it_cache n1)/work/envs" >&2
    it_is_clean n1
  done
}

# A builder is there, or it has been already.
it_has_begun() { [[ -n $(it_builders n1) ]] || it_job_is_over "$1"; }
