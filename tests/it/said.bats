#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What users read of how their environment came about: one line a node when it
# was built or waited for, nothing of a hit, one line of that with AQ_VERBOSE.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib
setup_file() {
  it_up --nodes 2
  BASE=$(it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}')
  LAYER=$(it_file layer.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, {pip: [joblib==1.4.2]}]}')
  LINKED=$(it_file linked.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip, activate-demo]}')
  export BASE LAYER LINKED
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_open
}
teardown() { it_open && it_end; }

# said: our lines of $stderr that are no step of a build
said() { grep '^aq: ' <<<"$stderr" | grep -vE '^aq: n[12]: (resolving|installing|fetching|checking|inheriting|waiting|each of)' || :; }

# says PATTERN [LINES]: that is all, but for the build's steps
says() {
  [[ $(said | wc -l) -eq ${2:-1} && $(said | grep -cE -- "^aq: n[12]: $1\$") -eq ${2:-1} ]] || {
    printf 'expected %d lines: %s\nin: %s\n' "${2:-1}" "$1" "$stderr" >&2
    return 1
  }
}

# read_said FILE...: $stderr is what they hold
read_said() { run -0 --separate-stderr sh -c 'cat "$@" >&2' sh "$@"; }

steps() { run -0 --separate-stderr as_user srun "$@"; }

readonly SIZE='[0-9.]+ [kM]?B' TIME='[0-9.]+ s'

@test "created: one line, whatever the number of tasks; of a hit none" {
  it_forget
  steps -w n1 -n 3 --aq-requirements="$(it_small)" printenv AQ_RESOLUTION
  assert_equal "$output" $'created\ncreated\ncreated'
  says "created in $TIME, $SIZE new on disk(, $SIZE shared with the package cache)?"
  steps -w n1 -n 3 --aq-requirements="$(it_small)" printenv AQ_RESOLUTION
  assert_equal "$output" $'reused\nreused\nreused'
  refute_contains "$stderr" "aq: "
  # nor an administrator in the node's log
  run -1 grep "aq: " "$IT_DIR/log/slurmd-n1.log"
}

@test "several nodes: a line of each" {
  it_forget
  steps -N 2 -n 4 --aq-requirements="$(it_small)" true
  says "created in $TIME, $SIZE new on disk.*" 2
  assert_equal "$(said | grep -c '^aq: n2: created')" 1
  # and once what that may mean
  assert_equal "$(grep -c "^aq: n1: each of the step's 2 nodes resolves this by itself" <<<"$stderr")" 1
}

@test "inherited and linked say so, and the task's variables too" {
  it_forget
  aq --node n1 base add 3.9 --file "$BASE" 2>/dev/null
  steps -w n1 --aq-requirements="$LAYER" printenv AQ_RESOLUTION AQ_ENV_PREFIX AQ_ENV_KEY AQ_LOCK
  says "inherited from base 3\\.9 in $TIME, $SIZE new on disk.*"
  assert_equal "${lines[0]}" inherited
  assert_equal "${lines[1]}" "$(it_cache n1)/envs/${lines[3]:0:20}-1"
  assert_equal "${#lines[2]} ${#lines[3]}" "64 64"
  steps -w n1 --aq-requirements="$LINKED" printenv AQ_RESOLUTION
  assert_equal "$output" linked
  says "linked in $TIME, $SIZE new on disk.*"
}

@test "AQ_VERBOSE: a hit has one line a node, in srun, in sbatch and its steps" {
  local name job line='reused [0-9a-f]{20}-1 \(inherited from base 3\.9\), found in [0-9.]+ ms'
  run -0 --separate-stderr as_user AQ_VERBOSE=1 srun -w n1 -n 3 --aq-requirements="$LAYER" true
  says "$line"
  name=$(basename "$(aq --node n1 build --json "$LAYER" | jq -r .prefix)")
  assert_contains "$stderr" "aq: n1: reused $name ("
  # whatever its value is, but for "" and 0
  run -0 --separate-stderr as_user AQ_VERBOSE="$(printf '%5000s' x)" srun -w n1 --aq-requirements="$LAYER" true
  says "$line"
  for value in "" 0; do
    run -0 --separate-stderr as_user AQ_VERBOSE="$value" srun -w n1 --aq-requirements="$LAYER" true
    refute_contains "$stderr" "aq: "
  done
  job=$(as_user AQ_VERBOSE=yes sbatch --parsable -w n1 -n 2 -o "$IT_SUBMIT/v.out" -e "$IT_SUBMIT/v.err" \
    --aq-requirements="$LAYER" --wrap 'echo begun >&2; srun true')
  it_wait "$job"
  read_said "$IT_SUBMIT/v.err"
  assert_equal "$(grep -cE "^aq: n1: $line$" <<<"$stderr")" 2
  assert_equal "$(grep -E '^(aq: |begun)' <<<"$stderr" | sed -n 2p)" begun
}

@test "waited for another job's build" {
  local first
  it_forget
  it_gate before link
  first=$(it_submit -w n1 --aq-requirements="$(it_small)" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  as_user srun -w n1 -n 2 --aq-requirements="$(it_small)" printenv AQ_RESOLUTION \
    >"$IT_DIR/second.out" 2>"$IT_DIR/second.err" &
  wait_until "$IT_JOB_SECONDS" grep -q 'aq: n1: waiting: another job builds' "$IT_DIR/second.err"
  it_open
  wait $!
  assert_equal "$(<"$IT_DIR/second.out")" $'reused\nreused'
  read_said "$IT_DIR/second.err"
  says "created by another job, after $TIME of waiting"
  it_wait "$first"
  read_said "$IT_SUBMIT/${first}_"*.out
  says "created in $TIME, $SIZE new on disk.*"
}

@test "another request's packages, other variables, a refresh" {
  local there='resolved in [0-9.]+ s to the packages of an environment that is there, nothing new on disk'
  it_forget
  steps -w n1 --aq-requirements="$(it_small)" true
  steps -w n1 --aq-requirements="$(it_file other.yaml <<<'{channels: [conda-forge], dependencies: ["activate-demo>=0"]}')" true
  says "$there"
  # the same key: as plain a hit as there is
  steps -w n1 --aq-requirements="$(it_file third.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo], variables: {X: y}}')" true
  refute_contains "$stderr" "aq: "
  run -0 --separate-stderr as_user AQ_VERBOSE=1 srun -w n1 \
    --aq-requirements="$(it_file fourth.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo], variables: {X: z}}')" true
  says 'reused [0-9a-f]{20}-1 \(created\)'
  steps -w n1 --aq-refresh --aq-requirements="$(it_small)" printenv AQ_RESOLUTION
  says "$there"
  assert_equal "$output" reused
}
