#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# prefetch: a job's environment is built from its prolog on, for its user and no longer
# than the job; nobody waits for it, and what becomes of it is the step's to hear.
# shellcheck disable=SC2154 # bats sets stderr

load lib

setup_file() {
  it_up --nodes 1 --set "prefetch=yes" --set "max_new_keys=3"
  SMALL=$(it_small)
  NONE=$(it_file none.yaml <<<'{channels: [conda-forge], dependencies: [no-such-package]}')
  export SMALL NONE
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() {
  it_open
  touch "$IT_SUBMIT/go"
  scancel --quiet --user="$AQ_TEST_USER"
  it_end
  it_forget
  rm -f "$IT_SUBMIT/go" "$IT_SUBMIT"/alloc.*
}

# allocates OPTION... COMMAND: a job of no step yet, which runs COMMAND once there is
# IT_SUBMIT/go.
allocates() {
  local command=${*: -1}
  {
    local status=0
    as_user salloc --quiet -n1 "${@:1:$#-1}" sh -c "echo begun >&2; until test -e $IT_SUBMIT/go; do sleep 0.1; done; $command" \
      >"$IT_SUBMIT/alloc.out" 2>"$IT_SUBMIT/alloc.err" || status=$?
    echo "$status" >"$IT_SUBMIT/alloc.status"
  } 3>&- &
}
begun() { grep -q begun "$IT_SUBMIT/alloc.err"; }
goes_on() {
  touch "$IT_SUBMIT/go"
  wait_until "$IT_JOB_SECONDS" test -s "$IT_SUBMIT/alloc.status"
}
steps() { squeue -h -s -u "$AQ_TEST_USER" | grep -vcE '\.(extern|inter|Ext)' || :; }
is_built() { [[ $(aq --node n1 list --json | jq '.environments | length') -eq "$1" ]]; }
has_tried() { [[ $(it_attempts n1) -ge "$1" ]] && ! it_has_workers n1; }

@test "it is there before the first step asks, which then finds it" {
  allocates --aq-requirements="$SMALL" "AQ_VERBOSE=1 srun printenv AQ_RESOLUTION"
  wait_until "$IT_JOB_SECONDS" is_built 1
  assert_equal "$(steps)" 0
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  goes_on
  assert_equal "$(<"$IT_SUBMIT/alloc.status")" 0
  assert_equal "$(<"$IT_SUBMIT/alloc.out")" reused
  assert_equal "$(it_attempts n1)" 1
  # it is its user's build, and its user's use, which its epilog counts
  it_begin
  run -0 aq --node n1 stats --json
  jq -e '.counts | .created == 1 and .hit == 1 and .waited == 0' <<<"$output"
  # and a job that finds it starts no builder
  rm "$IT_SUBMIT/go" "$IT_SUBMIT"/alloc.*
  allocates --aq-requirements="$SMALL" true
  wait_until "$IT_JOB_SECONDS" begun
  [[ -z $(it_builders n1) ]]
  goes_on
  run -0 aq --node n1 stats --json
  jq -e '.counts.hit == 1' <<<"$output"
}

@test "a step that comes while it is built waits for that build" {
  it_gate before solve
  allocates --aq-requirements="$SMALL" "srun printenv AQ_RESOLUTION"
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  touch "$IT_SUBMIT/go"
  wait_until "$IT_JOB_SECONDS" grep -q "another job builds" "$IT_SUBMIT/alloc.err"
  it_open
  goes_on
  assert_equal "$(<"$IT_SUBMIT/alloc.status")" 0
  assert_equal "$(it_attempts n1)" 1
}

@test "it ends with the job that has not needed it, unless another waits" {
  it_gate before solve
  allocates --aq-requirements="$SMALL" true
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  goes_on
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  it_open
  assert_equal "$(it_builds n1)" 0
  rm "$IT_SUBMIT/go" "$IT_SUBMIT/alloc.status"
  # that is no verdict; and another's step keeps it going
  it_gate before solve
  allocates --aq-requirements="$SMALL" true
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  as_user srun -n1 --overcommit --oversubscribe --aq-requirements="$SMALL" printenv AQ_RESOLUTION \
    >"$IT_DIR/other.out" 2>"$IT_DIR/other.err" 3>&- &
  wait_until "$IT_JOB_SECONDS" grep -q "another job builds" "$IT_DIR/other.err"
  goes_on
  it_open
  wait_until "$IT_JOB_SECONDS" test -s "$IT_DIR/other.out"
  assert_equal "$(it_attempts n1)" 2
}

@test "what is done behind the answer does not end with the job" {
  local lock name locks=$IT_DIR/nodes/n1/run/locks
  aq --node n1 gc >/dev/null # there are locks
  # who makes byte-code waits for this
  exec {lock}>"$locks/bytecode"
  flock "$lock"
  allocates --aq-requirements="$(it_file python.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, threadpoolctl]}')" "srun true" # else nothing keeps it
  wait_until "$IT_JOB_SECONDS" is_built 1
  goes_on
  it_begin
  [[ -n $(it_builders n1) ]]
  exec {lock}>&-
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  name=$(aq --node n1 list --json | jq -r '.environments[0].name')
  [[ -e $(it_cache n1)/envs/$name/lib/python3.9/site-packages/__pycache__/threadpoolctl.cpython-39.pyc ]]
  assert_equal "$(ls "$(it_cache n1)/work/bytecode/pending")" ""
}

@test "what cannot be had is the step's to hear, and no node's harm" {
  allocates --aq-requirements="$NONE" "srun true"
  wait_until "$IT_JOB_SECONDS" begun
  wait_until "$IT_JOB_SECONDS" has_tried 1
  it_nodes_are_fine
  goes_on
  assert_equal "$(<"$IT_SUBMIT/alloc.status")" 125
  assert_contains "$(<"$IT_SUBMIT/alloc.err")" "no-such-package"
  assert_equal "$(it_attempts n1)" 1
}

@test "nothing happens without it: no option, none, a refresh, prefetch = no" {
  local options
  for options in "--job-name=x" "--aq-requirements=none" "--aq-refresh --aq-requirements=$SMALL" \
    "--aq-requirements=$SMALL"; do
    [[ $options != "--aq-requirements=$SMALL" ]] || sed -i 's/^prefetch.*/prefetch = no/' "$IT_DIR/etc/aq.conf"
    rm -f "$IT_SUBMIT/go" "$IT_SUBMIT"/alloc.*
    # shellcheck disable=SC2086 # words
    allocates $options "env"
    wait_until "$IT_JOB_SECONDS" begun
    [[ -z $(it_builders n1) ]]
    goes_on
    refute_contains "$(<"$IT_SUBMIT/alloc.out")" AQ_PREFETCH
    it_begin
    assert_equal "$(it_attempts n1)" 0
  done
  sed -i 's/^prefetch.*/prefetch = yes/' "$IT_DIR/etc/aq.conf"
}

@test "what somebody made up for the prolog is refused as a step's is; what is well made up is theirs" {
  local text lines
  it_forging_slurm
  lines=$'aq-request 1\nchannel conda-forge\n'
  # forges REQUEST: a job that ends once the prolog's builder has.
  forges() {
    as_user SLURM_CONF="$FORGED" FORGE="$(printf '%s' "$1" | sha256sum | cut -d ' ' -f 1)" FORGE_REQUEST="$1" \
      sbatch --wait -n1 -o /dev/null --wrap "until test -e $IT_SUBMIT/go; do sleep 0.1; done" 2>"$IT_DIR/forged.err" >&2 3>&- &
    wait_until "$IT_JOB_SECONDS" it_is_marked
    wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
    touch "$IT_SUBMIT/go"
    wait $!
    rm "$IT_SUBMIT/go"
    it_begin
  }
  it_is_marked() { [[ -n $(ls -A "$IT_DIR/nodes/n1/run/jobs" 2>/dev/null) ]]; }
  for text in x "$lines"'conda --channel=file:///tmp' "$lines"$'conda activate-demo;id\n' \
    $'aq-request 1\nchannel file:///tmp\nconda activate-demo\n' \
    "$lines"$'python 3.12.*\npip aq-secret @ git+http://127.0.0.1:1/aq\n'; do
    forges "$text"
    it_nodes_are_fine
    assert_equal "$(it_attempts n1)" 0
  done
  forges "$lines"$'conda activate-demo\n'
  assert_equal "$(it_attempts n1)" 1
  assert_equal "$(it_builds n1)" 1
}
