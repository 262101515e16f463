#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# From req.yaml to the function's environment: built once, then reused.
# These tests run with every client (./check --client PATH).
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib
setup_file() {
  it_up --nodes 2
  it_examples
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

@test "the example is built with progress, then reused without" {
  it_forget
  cd "$IT_SUBMIT"
  run -0 --separate-stderr as_user -C "$IT_SUBMIT" srun -w n1 \
    --aq-requirements=req.yaml python fn.py
  assert_contains "$output" "accuracy: 0.9"
  assert_contains "$output" "resolution: created"
  [[ ${lines[-1]} == "$(it_cache n1)"/envs/* ]]
  assert_contains "$stderr" "aq: n1: "
  first=${lines[-1]}
  # the last word of its log: how long each part took
  said=$(tail -qn 1 "$(it_cache n1)"/logs/*.log)
  for part in "took" "aq-builder: resolve" "link" "install" "check" "seal" "commit"; do
    assert_contains "$said" "$part "
  done

  run -0 --separate-stderr as_user -C "$IT_SUBMIT" srun -w n1 \
    --aq-requirements=req.yaml python fn.py
  assert_contains "$output" "resolution: reused"
  assert_equal "${lines[-1]}" "$first"
  refute_contains "$stderr" "aq: "
}

@test "the same in Aqueduct's keys: a Python, and what pip would install" {
  run -0 --separate-stderr as_user -C "$IT_SUBMIT" srun -w n1 \
    --aq-requirements=pip.yaml python fn.py
  assert_contains "$output" "resolution: created"
  run -0 --separate-stderr as_user -C "$IT_SUBMIT" srun -w n1 \
    --aq-requirements=pip.yaml python fn.py
  assert_contains "$output" "resolution: reused"
}

@test "another spelling of the same request finds the same environment" {
  file=$(it_file other.yml <<'YAML'
dependencies: ["Scikit-Learn", "python 3.9.*"]
channels: [conda-forge]
YAML
  )
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$file" printenv AQ_RESOLUTION
  assert_equal "$output" "reused"
}

@test "2 nodes x 8 tasks on cold caches: one build on each node" {
  it_forget
  run -0 --separate-stderr as_user srun -N2 -n16 --ntasks-per-node=8 \
    --aq-requirements="$(it_small)" printenv AQ_ENV_PREFIX
  assert_equal "${#lines[@]}" 16
  assert_equal "$(it_attempts n1) $(it_attempts n2)" "1 1"
  assert_equal "$(it_builds n1) $(it_builds n2)" "1 1"
  # one lock, one name: the path below the cache is the same on every node
  assert_equal "$(ls "$(it_cache n1)/envs")" "$(ls "$(it_cache n2)/envs")"
}

@test "many jobs that ask at once: one build, all succeed" {
  it_forget
  job=$(it_submit -w n1 --array=1-12 --aq-requirements="$(it_small)" \
    --wrap 'test -d "$AQ_ENV_PREFIX" && echo "$AQ_ENV_PREFIX"')
  it_wait "$job"
  it_job_is COMPLETED "$job"
  assert_equal "$(it_attempts n1)" 1
  assert_equal "$(cat "$IT_SUBMIT/$job"_*.out | grep -c "^$(it_cache n1)/envs/")" 12
}

@test "what an environment holds cannot be written by its users" {
  prefix=$(as_user srun -w n1 --aq-requirements="$(it_small)" printenv AQ_ENV_PREFIX)
  run ! as_user touch "$prefix/mark"
  run ! as_user rm -r "$prefix/etc"
  # what the package cache links too stays the builder's: only an owner may link
  [[ -z $(find "$prefix" ! -user root ! -user "$AQ_BUILDER_USER" -print -quit) ]]
  [[ -z $(find "$prefix" -type d ! -user root -print -quit) ]]
  [[ -z $(find "$prefix" ! -type l -perm /222 -print -quit) ]]
}
