#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Workflows on a real cluster: what a workflow leaves goes by itself, with its
# last reference; nobody's but one's own can be touched.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

setup_file() {
  it_up --nodes 2 --set "max_age=0" --set "min_free=0"
  # B_TOO is another key than B, and the same lock
  A=$(it_file a.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo]}')
  B=$(it_file b.yaml <<<'{channels: [conda-forge], dependencies: [tzdata]}')
  B_TOO=$(it_file b-too.yaml <<<'{channels: [conda-forge], dependencies: [tzdata=2024b]}')
  export A B B_TOO
}
teardown_file() { it_down; }
setup() {
  it_begin
  CACHE=$(it_cache n1)
  COLLECTS="gc --wait --config $IT_DIR/etc/aq.conf" # as epilogs start it
}
teardown() {
  it_open
  touch "$IT_SUBMIT/go"
  scancel --quiet --user="$AQ_TEST_USER"
  settle
  it_end
  it_forget
  rm -f "$IT_SUBMIT/go"
}

# uses [-u USER] FILE OPTION...: a step on n1 in the environment of FILE, whose
# name is printed.
uses() {
  local user=()
  [[ $1 != -u ]] || { user=(-u "$2"); shift 2; }
  basename "$(as_user "${user[@]}" srun -w n1 --aq-requirements="$1" "${@:2}" printenv AQ_ENV_PREFIX)"
}

# waits FILE OPTION...: a batch job on n1 that waits in the environment of FILE
# until there is IT_SUBMIT/go; prints its id.
waits() {
  it_submit -w n1 --aq-requirements="$1" "${@:2}" \
    --wrap "echo in \$AQ_ENV_PREFIX; while [ ! -e $IT_SUBMIT/go ]; do sleep 0.1; done; ls \$AQ_ENV_PREFIX >/dev/null && echo fine"
}
is_in() { grep -q "^in .*/$2\$" "$IT_SUBMIT/$1"_*.out; }

there() { [[ -d $CACHE/envs/$1 && -d $CACHE/meta/$1 ]] && aq --node n1 list | grep -q "^$1"; }
gone() { [[ ! -e $CACHE/envs/$1 && ! -e $CACHE/meta/$1 ]] && ! aq --node n1 list | grep -q "^$1"; }

# current NAME [USER]: the environment of a workflow on n1, as root sees it.
current() { aq --node n1 workflow show "$1" --user "${2:-$AQ_TEST_USER}" --json | jq -r .environment; }

# settle [JOB]: until all other jobs' epilogs, and what they started, are through;
# what could go has gone then.
settle() {
  wait_until "$IT_JOB_SECONDS" is_all_that_runs "${1-}"
  wait_while 30 pgrep -f -- "$COLLECTS"
}
is_all_that_runs() { [[ $(squeue -h -o %i) == "$1" ]]; }

@test "what a workflow leaves goes with its last reference; nobody asked for it" {
  local a b job
  a=$(uses "$A" --aq-workflow=flow)
  assert_equal "$(current flow)" "$a"
  job=$(waits "$A" --aq-workflow=flow)
  wait_until "$IT_JOB_SECONDS" is_in "$job" "$a"
  b=$(uses "$B" --aq-workflow=flow)
  assert_equal "$(current flow)" "$b"
  settle "$job"
  it_job_is RUNNING "$job"
  there "$a"
  touch "$IT_SUBMIT/go"
  it_wait "$job"
  assert_contains "$(cat "$IT_SUBMIT/$job"_*.out)" fine
  wait_until "$IT_BEHIND_SECONDS" gone "$a"
  there "$b"
  assert_equal "$(current flow)" "$b"
  # and by a hit: both are there, one is asked for
  a=$(uses "$A")
  b=$(uses "$B" --aq-workflow=flow)
  uses "$A" --aq-workflow=flow >/dev/null
  wait_until "$IT_BEHIND_SECONDS" gone "$b"
  assert_equal "$(current flow)" "$a"
}

@test "what a builder still held when it was left goes once that has ended" {
  local a b hold lock locks=$IT_DIR/nodes/n1/run/locks
  aq --node n1 gc >/dev/null # there are locks
  # it notes what it made of byte-code, which waits for this
  exec {lock}>"$locks/bytecode"
  flock "$lock"
  a=$(uses "$A" --aq-workflow=flow)
  # as it does then, for as long as flushing the disk takes
  exec {hold}>"$locks/hold-$a"
  flock -s "$hold"
  b=$(uses "$B" --aq-workflow=flow)
  settle
  there "$a"
  exec {hold}>&- {lock}>&-
  wait_until "$IT_BEHIND_SECONDS" gone "$a"
  there "$b"
}

@test "the request that was submitted last is current, whichever starts first" {
  local a b job
  job=$(it_submit --hold -w n1 --aq-requirements="$A" --aq-workflow=flow --wrap 'echo "$AQ_ENV_PREFIX"')
  b=$(uses "$B" --aq-workflow=flow)
  scontrol release "$job"
  it_wait "$job"
  a=$(basename "$(cat "$IT_SUBMIT/$job"_*.out)")
  [[ $a != "$b" && $a == *-1 ]]
  wait_until "$IT_BEHIND_SECONDS" gone "$a"
  assert_equal "$(current flow)" "$b"
  there "$b"
}

@test "a request that cannot be had changes nothing" {
  local a impossible
  impossible=$(it_file impossible.yaml <<<'{channels: [conda-forge], dependencies: [no-such-package-anywhere]}')
  a=$(uses "$A" --aq-workflow=flow)
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$impossible" --aq-workflow=flow true
  settle
  there "$a"
  assert_equal "$(current flow)" "$a"
}

@test "what another workflow asks for stays, also by another request for the same" {
  local a b
  b=$(uses "$B" --aq-workflow=one)
  assert_equal "$(uses "$B_TOO" --aq-workflow=two)" "$b"
  a=$(uses "$A" --aq-workflow=one)
  settle
  there "$b"
  uses "$A" --aq-workflow=two >/dev/null
  wait_until "$IT_BEHIND_SECONDS" gone "$b"
  there "$a"
}

@test "what was asked for outside of workflows stays" {
  local a b
  a=$(uses "$A" --aq-workflow=flow)
  uses "$A" >/dev/null
  b=$(uses "$B" --aq-workflow=flow)
  settle
  there "$a"
  # as root by hand
  aq --node n1 build "$B" >/dev/null 2>&1
  uses "$A" --aq-workflow=flow >/dev/null
  settle
  there "$b"
}

@test "who waits for a workflow's build without one holds what is built" {
  local job plain a
  it_gate before link
  job=$(it_submit -w n1 --aq-requirements="$A" --aq-workflow=flow --wrap 'echo "$AQ_ENV_PREFIX"')
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  plain=$(it_submit -w n1 --aq-requirements="$A" --wrap 'echo "$AQ_ENV_PREFIX"')
  wait_until "$IT_JOB_SECONDS" has_builders 2
  it_open
  it_wait "$job"
  it_wait "$plain"
  a=$(basename "$(cat "$IT_SUBMIT/$job"_*.out)")
  uses "$B" --aq-workflow=flow >/dev/null
  settle
  there "$a"
}
has_builders() { [[ $(it_builders n1 | wc -l) == "$1" ]]; }

@test "two users with the same name do not meet" {
  local a b
  a=$(uses "$A" --aq-workflow=flow)
  b=$(uses -u "$AQ_OTHER_USER" "$B" --aq-workflow=flow)
  settle
  there "$a" && there "$b"
  run -0 --separate-stderr aq --node n1 workflow list --json
  assert_equal "$(jq -r '.workflows[] | .user + " " + .environment' <<<"$output" | sort)" \
    "$(printf '%s\n' "$AQ_TEST_USER $a" "$AQ_OTHER_USER $b" | sort)"
  run -1 --separate-stderr aq --node n1 workflow remove flow
  assert_contains "$stderr" "several users have a workflow 'flow': say whose by --user"
  # removing it is each one's own
  as_user -u "$AQ_OTHER_USER" srun -w n1 --aq-workflow=flow --aq-workflow-remove true
  wait_until "$IT_BEHIND_SECONDS" gone "$b"
  there "$a"
  assert_equal "$(current flow)" "$a"
}

@test "a user removes a workflow on every node, and it is gone with its environment" {
  local a
  a=$(uses "$A" --aq-workflow=flow)
  as_user srun -w n2 --aq-requirements="$A" --aq-workflow=flow true
  it_begin
  run -0 --separate-stderr as_user AQ_CONF="$IT_DIR/etc/aq.conf" aq workflow remove flow
  assert_equal "$output" $'n1: removed\nn2: removed'
  wait_until "$IT_BEHIND_SECONDS" gone "$a"
  wait_until "$IT_BEHIND_SECONDS" test ! -e "$(it_cache n2)/envs/$a"
  run -4 --separate-stderr aq --node n2 workflow show flow
  # submitted again it is back
  uses "$A" --aq-workflow=flow >/dev/null
  [[ $(current flow) == "${a%-*}-"* ]]
  run -0 --separate-stderr as_user AQ_CONF="$IT_DIR/etc/aq.conf" aq workflow remove flow --nodes n2 --json
  jq -e '.nodes == [{node: "n2", removed: true}]' <<<"$output"
  [[ $(current flow) == "${a%-*}-"* ]]
  run -4 --separate-stderr as_user AQ_CONF="$IT_DIR/etc/aq.conf" aq workflow remove flow --nodes n7
}

@test "what is removed stays so for what was submitted before" {
  local job a
  job=$(it_submit --hold -w n1 --aq-requirements="$A" --aq-workflow=flow --wrap 'echo "$AQ_ENV_PREFIX"')
  as_user srun -w n1 --aq-workflow=flow --aq-workflow-remove true
  scontrol release "$job"
  it_wait "$job"
  a=$(basename "$(cat "$IT_SUBMIT/$job"_*.out)")
  run -0 --separate-stderr aq --node n1 workflow list
  assert_equal "$output" "no workflows on this node"
  # root does so at once, while nothing runs
  uses "$A" --aq-workflow=flow >/dev/null
  run -0 --separate-stderr aq --node n1 workflow remove flow
  assert_equal "$output" "n1: removed"
  wait_until "$IT_BEHIND_SECONDS" gone "$a"
  run -0 --separate-stderr aq --node n1 workflow list
  assert_equal "$output" "no workflows on this node"
}

@test "users read their own on the node, and nobody else's" {
  local a file
  a=$(uses "$A" --aq-workflow=flow)
  it_begin
  run -0 --separate-stderr as_user AQ_CONF="$IT_DIR/etc/aq.conf" aq --node n1 workflow list
  assert_contains "$output" "flow "
  assert_contains "$output" "$a"
  run -0 --separate-stderr as_user AQ_CONF="$IT_DIR/etc/aq.conf" aq --node n1 workflow show flow
  assert_contains "$output" "conda activate-demo"
  run -4 --separate-stderr as_user AQ_CONF="$IT_DIR/etc/aq.conf" aq --node n1 workflow show other
  run -0 --separate-stderr as_user -u "$AQ_OTHER_USER" AQ_CONF="$IT_DIR/etc/aq.conf" aq --node n1 workflow list
  assert_equal "$output" "no workflows on this node"
  run -1 --separate-stderr as_user AQ_CONF="$IT_DIR/etc/aq.conf" aq --node n1 workflow list --user "$AQ_OTHER_USER"
  file=$IT_DIR/nodes/n1/run-public/workflows/$(id -u "$AQ_TEST_USER")
  as_user cat "$file" >/dev/null
  run ! as_user -u "$AQ_OTHER_USER" cat "$file"
  run ! as_user chmod u+w "$file"
  run ! as_user tee -a "$file" </dev/null
  assert_equal "$(stat -c %U "$file")" root
}

@test "bad names and workflows of nothing are refused before anything is queued" {
  local words
  for words in "--aq-workflow=" "--aq-workflow=a/b" "--aq-workflow=$(printf 'x%.0s' {1..65})" \
    "--aq-workflow=ä" "--aq-workflow=a,b"; do
    run -1 --separate-stderr as_user srun --aq-requirements="$A" "$words" true
    assert_contains "$stderr" "is no name of a workflow"
  done
  run -1 --separate-stderr as_user sbatch --aq-workflow=flow --wrap true
  assert_contains "$stderr" "--aq-workflow says nothing without --aq-requirements=FILE"
  run -1 --separate-stderr as_user srun --aq-workflow-remove true
  assert_contains "$stderr" "says nothing without --aq-workflow=NAME"
  run -1 --separate-stderr as_user srun --aq-requirements="$A" --aq-workflow=one true : --aq-workflow=two true
  assert_contains "$stderr" "share one workflow"
  assert_equal "$(squeue -h)" ""
}

@test "steps are of their job's workflow, but not with a request of their own" {
  local job a b
  job=$(it_submit -w n1 --aq-requirements="$A" --aq-workflow=flow --wrap "
    echo a \$AQ_ENV_PREFIX
    echo step \$(srun printenv SLURM_AQ_WORKFLOW)
    echo again \$(srun --aq-requirements=$A printenv SLURM_AQ_WORKFLOW)
    echo other \$(srun --aq-requirements=$B printenv SLURM_AQ_WORKFLOW)
    echo b \$(srun --aq-requirements=$B printenv AQ_ENV_PREFIX)
    echo none \$(srun --aq-requirements=none printenv SLURM_AQ_WORKFLOW)
    echo nested \$(salloc -w n1 --quiet srun printenv SLURM_AQ_WORKFLOW)
    echo named \$(srun --aq-workflow=named printenv SLURM_AQ_WORKFLOW)
    echo batch \$SLURM_AQ_WORKFLOW")
  it_wait "$job"
  run -0 cat "$IT_SUBMIT/$job"_*.out
  assert_contains "$output" "step flow 1"
  assert_equal "$(grep -c " $(sed -n 's/^batch //p' <<<"$output")\$" <<<"$output")" 3
  assert_contains "$output" "named named 1"
  grep -qx "other" <<<"$output"
  grep -qx "none" <<<"$output"
  grep -qx "nested" <<<"$output"
  a=$(basename "$(sed -n 's/^a //p' <<<"$output")")
  b=$(basename "$(sed -n 's/^b //p' <<<"$output")")
  assert_equal "$(current flow)" "$a"
  assert_equal "$(current named)" "$a"
  settle
  there "$b" # asked for plainly
  # and without the submitter's variables
  run -0 --separate-stderr as_user srun -w n1 --export=NONE --aq-requirements="$B" --aq-workflow=export /usr/bin/true
  assert_equal "$(current export)" "$b"
}

@test "a batch script's lines, an array and a heterogeneous step" {
  local script job b
  script=$(it_file flow.sh <<SH
#!/bin/bash
#SBATCH --aq-requirements=$B
#SBATCH --aq-workflow=flow
#SBATCH --array=1-3
basename "\$AQ_ENV_PREFIX"
SH
  )
  job=$(it_submit -w n1 "$script")
  it_wait "$job"
  b=$(grep -hv "^aq: " "$IT_SUBMIT/$job"_*.out | sort -u)
  assert_equal "$(current flow)" "$b"
  as_user srun -w n1 -n1 --aq-requirements="$A" --aq-workflow=flow true : -n1 true
  wait_until "$IT_BEHIND_SECONDS" gone "$b"
}

@test "what somebody writes into the variable harms nothing" {
  local text job a
  a=$(uses "$A" --aq-workflow=flow)
  uses -u "$AQ_OTHER_USER" "$A" --aq-workflow=theirs >/dev/null
  for text in "" "flow" "flow -1" "../../etc/passwd 5" "flow 99999999999999999999" \
    "'; drop table workflows; -- 5" "flow 5 removed" "$(printf 'x%.0s' {1..5000}) 5"; do
    run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$A" \
      bash -c 'SLURM_AQ_WORKFLOW=$0 srun --overlap printenv AQ_RESOLUTION' "$text"
    assert_equal "$output" reused
    run -0 --separate-stderr as_user srun -w n1 --export=ALL,SLURM_AQ_WORKFLOW="$text" \
      --aq-requirements="$A" printenv AQ_RESOLUTION
    assert_equal "$output" reused
  done
  # one can make up only what is one's own, and not for longer than it is true
  as_user srun -w n1 --aq-requirements="$A" \
    bash -c 'SLURM_AQ_WORKFLOW="flow 9223372036854775807" srun --overlap true'
  run -0 --separate-stderr aq --node n1 workflow list --json
  jq -e --arg a "$a" '[.workflows[] | .name] == ["flow", "theirs"] or [.workflows[] | .name] == ["theirs", "flow"]' <<<"$output"
  jq -e '.workflows | all(.submitted <= now)' <<<"$output"
  as_user srun -w n1 --aq-workflow=flow --aq-workflow-remove true
  run -4 --separate-stderr aq --node n1 workflow show flow --user "$AQ_TEST_USER"
  job=$(aq --node n1 workflow show theirs --json | jq -r .state)
  assert_equal "$job" ready
}
