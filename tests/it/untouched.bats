#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # bats sets stderr
# Jobs that do not use the option must not notice that the plugin is there.

load lib
setup_file() { it_up; }
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

@test "a job without the option keeps its environment" {
  run -0 --separate-stderr as_user MARK=kept srun env
  assert_contains "$output" "MARK=kept"
  refute_contains "$output" "AQ_"
  assert_equal "$stderr" ""
}

@test "a job without the option makes nothing on the node" {
  as_user srun true
  it_submit --wait --wrap "srun true"
  [[ ! -e $(it_cache n1) ]]
  [[ ! -e $IT_DIR/nodes/n1/run ]]
}

@test "srun, sbatch and salloc list the option in their help" {
  for command in srun sbatch salloc; do
    run -0 --separate-stderr as_user "$command" --help
    assert_contains "$output" "--aq-requirements"
  done
}
