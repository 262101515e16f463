#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Which environment a step gets: its job's, its own, or none; through sbatch,
# salloc, nested sbatch, arrays, --export and heterogeneous steps.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib
setup_file() {
  it_up --nodes 2
  A=$(it_file a.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo], variables: {WHICH: a}}')
  B=$(it_file b.yaml <<<'{channels: [conda-forge], dependencies: [tzdata], variables: {WHICH: b}}')
  export A B
  as_user srun -N2 --aq-requirements="$A" true
  as_user srun -N2 --aq-requirements="$B" true
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

# batch SCRIPT-TEXT OPTION...: run it as a batch job, print its output (what
# Slurm's own commands say goes to stderr)
batch() {
  local script job
  script=$(it_file "job-$BATS_TEST_NUMBER.sh" <<<"#!/bin/bash"$'\n'"$1")
  job=$(it_submit --error="$IT_SUBMIT/%A_%a.err" "${@:2}" "$script")
  it_wait "$job"
  cat "$IT_SUBMIT/$job"_*.err >&2
  cat "$IT_SUBMIT/$job"_*.out
}

@test "a batch script runs in its job's environment" {
  run -0 --separate-stderr batch 'echo "$WHICH $AQ_RESOLUTION"' --aq-requirements="$A"
  assert_equal "$output" "a reused"
}

@test "an #SBATCH line is enough" {
  run -0 --separate-stderr batch "#SBATCH --aq-requirements=$B"$'\necho "$WHICH"'
  assert_equal "$output" "b"
}

@test "srun in sbatch: inherited, another file, none" {
  run -0 --separate-stderr batch "srun printenv WHICH
    srun --aq-requirements=$B printenv WHICH
    srun --aq-requirements=none env | grep -c -e ^WHICH= -e ^AQ_ -e CONDA" \
    --aq-requirements="$A"
  assert_equal "$output" $'a\nb\n0'
}

@test "a step inherits the snapshot, not the file as it is now" {
  as_user cp "$A" "$IT_SUBMIT/moving.yaml"
  run -0 --separate-stderr batch "cp $B $IT_SUBMIT/moving.yaml; srun printenv WHICH; rm $IT_SUBMIT/moving.yaml; srun printenv WHICH" \
    --aq-requirements="$IT_SUBMIT/moving.yaml"
  assert_equal "$output" $'a\na'
}

@test "batch A, step B, step none, nested sbatch: the last two are the submitter's" {
  # what Slurm itself sets differs from step to step
  ours='env -0 | grep -zv -e ^SLURM -e ^SPANK -e ^TMPDIR= -e ^_= -e ^SHLVL= -e ^OLDPWD= -e ^ENVIRONMENT= -e ^SRUN_DEBUG= -e ^HOSTNAME= | sort -z | tr "\0" "\n"'
  inner=$(it_file inner.sh <<<"#!/bin/bash"$'\n'"$ours >$IT_SUBMIT/nested.env")
  plain=$(it_file plain.sh <<<"#!/bin/bash"$'\n'"$ours >$IT_SUBMIT/plain.env; srun bash -c '$ours' >$IT_SUBMIT/plainstep.env")
  it_wait "$(as_user MARK=kept sbatch --parsable -o /dev/null "$plain")"
  script=$(it_file outer.sh <<SH
#!/bin/bash
srun --aq-requirements=$B bash -c '$ours' >$IT_SUBMIT/b.env
srun --aq-requirements=none bash -c '$ours' >$IT_SUBMIT/none.env
sbatch -o /dev/null $inner
SH
  )
  it_wait "$(as_user MARK=kept sbatch --parsable -o "$IT_SUBMIT/outer.out" --aq-requirements="$A" "$script")"
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/nested.env"
  it_begin
  assert_contains "$(cat "$IT_SUBMIT/b.env")" "WHICH=b"
  diff "$IT_SUBMIT/plainstep.env" "$IT_SUBMIT/none.env"
  diff "$IT_SUBMIT/plain.env" "$IT_SUBMIT/nested.env"
}

@test "a nested sbatch's own line wins over the outer job's" {
  inner=$(it_file inner2.sh <<SH
#!/bin/bash
#SBATCH --aq-requirements=$B
printenv WHICH
SH
  )
  batch "sbatch -o $IT_SUBMIT/inner2.out $inner" --aq-requirements="$A"
  wait_until "$IT_JOB_SECONDS" test -s "$IT_SUBMIT/inner2.out"
  assert_equal "$(cat "$IT_SUBMIT/inner2.out")" "b"
}

@test "--export=NONE and --export=VAR keep the request" {
  run -0 --separate-stderr as_user srun --export=NONE --aq-requirements="$A" /usr/bin/printenv WHICH
  assert_equal "$output" "a"
  run -0 --separate-stderr as_user MARK=kept srun --export=MARK --aq-requirements="$A" /usr/bin/printenv WHICH MARK
  assert_equal "$output" $'a\nkept'
  run -0 --separate-stderr batch 'echo "$WHICH"; srun /usr/bin/printenv WHICH' --export=NONE --aq-requirements="$A"
  assert_equal "$output" $'a\na'
}

@test "every task of an array has it" {
  run -0 --separate-stderr batch 'echo "$SLURM_ARRAY_TASK_ID $WHICH"' --array=1-3 --aq-requirements="$A"
  assert_equal "$(sort <<<"$output")" $'1 a\n2 a\n3 a'
}

@test "salloc's steps inherit it" {
  run -0 --separate-stderr as_user salloc --aq-requirements="$A" srun printenv WHICH
  assert_equal "$output" "a"
}

@test "a Python file that says what it needs is a request; a requirements.txt is refused like one" {
  cp "$BATS_TEST_DIRNAME/../../examples/fn.py" "$IT_SUBMIT"
  chmod 644 "$IT_SUBMIT/fn.py"
  run -0 --separate-stderr as_user -C "$IT_SUBMIT" srun -w n1 --aq-requirements=fn.py python fn.py
  assert_contains "$output" "accuracy: 0.9"
  assert_contains "$output" "$IT_DIR/nodes"
  # it is what the req.yaml that says the same is
  it_file same.yaml <<<'{python_version: "3.9", requirements: ["scikit_learn == 1.6.*"]}' >/dev/null
  run -0 --separate-stderr as_user -C "$IT_SUBMIT" srun -w n1 --aq-requirements=same.yaml printenv AQ_RESOLUTION
  assert_equal "$output" reused
  it_file requirements.txt <<<$'scikit-learn==1.6.*\n-e .' >/dev/null
  run -1 as_user -C "$IT_SUBMIT" srun --aq-requirements=requirements.txt true
  assert_contains "$output" "srun: error: requirements.txt:2:1: '-e .' is an editable install"
}

@test "a heterogeneous step shares one environment" {
  run -0 --separate-stderr as_user srun -n1 --aq-requirements="$A" printenv WHICH : -n1 printenv WHICH
  assert_equal "$output" $'a\na'
  run -0 --separate-stderr as_user srun -n1 --aq-requirements="$A" printenv WHICH : -n1 \
    --aq-requirements="$A" printenv WHICH
  assert_equal "$output" $'a\na'
}

@test "two environments in a heterogeneous step are an error" {
  run -1 --separate-stderr as_user srun -n1 --aq-requirements="$A" true : -n1 --aq-requirements="$B" true
  assert_contains "$stderr" "two sruns"
  assert_equal "$(squeue -h)" ""
}

# het FIRST SECOND: the text of a batch script with options for each of two components,
# which says what it and its steps run in.
het() {
  cat <<BATCH
#SBATCH -n1 $1
#SBATCH hetjob
#SBATCH -n1 $2
echo "\${WHICH-none}"
for i in 0 1; do srun --het-group=\$i sh -c 'echo "\${WHICH-none}"'; done
BATCH
}

# refused FIRST SECOND WHY: sbatch does not take it.
refused() {
  run -1 --separate-stderr as_user sbatch -o /dev/null "$(it_file het.sh <<<"#!/bin/bash"$'\n'"$(het "$1" "$2")")"
  assert_contains "$stderr" "the components of a heterogeneous job share one $3: name it for the first component"
}

@test "the components of a heterogeneous job share one environment, or sbatch says so" {
  local options
  for options in "" "--aq-requirements=$A"; do
    run -0 --separate-stderr batch "$(het "--aq-requirements=$A" "$options")"
    assert_equal "$output" $'a\na\na'
  done
  run -0 --separate-stderr batch "$(het --aq-requirements=none "")"
  assert_equal "$output" $'none\nnone\nnone'
  refused "--aq-requirements=$A" "--aq-requirements=$B" environment
  refused "" "--aq-requirements=$B" environment
  run -1 --separate-stderr as_user sbatch -n1 : -n1 --aq-requirements="$B" --wrap true
  assert_contains "$stderr" "the components of a heterogeneous"
  refused "--aq-requirements=$A --aq-workflow=one" "--aq-workflow=two" workflow
  assert_equal "$(squeue -h)" ""
  # what salloc runs has one environment anyway
  run -0 --separate-stderr as_user salloc --quiet -n1 : -n1 --aq-requirements="$B" srun --het-group=0,1 printenv WHICH
  assert_equal "$output" $'b\nb'
}

@test "a step drops its lease, a job what it referred to" {
  local job
  job=$(it_submit -w n1 --wrap "for i in 1 2 3; do srun --aq-requirements=$A true; done; touch $IT_SUBMIT/stepped; sleep 600")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/stepped"
  assert_equal "$(ls "$IT_DIR/nodes/n1/run/leases")" ""
  as_user scancel "$job"
  wait_until 10 cluster_is_idle "$IT_DIR"
  assert_equal "$(ls "$IT_DIR/nodes/n1/run/leases")" ""
}
