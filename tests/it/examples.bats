#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Everything in examples/, as people would run it, and what the documentation shows of
# srun: the first of it is README.md's transcript.  req.yaml and pip.yaml are in path.bats,
# too, with every client.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

TOP=$BATS_TEST_DIRNAME/../..

setup_file() {
  it_up --set "max_age=0" --set "min_free=0"
  it_examples
  # once for all that follows
  for time in first second; do
    on_node srun --aq-requirements=req.yaml python fn.py >"$IT_DIR/$time" 2>&1
    it_begin # else srun says that the next one waits
  done
  on_node srun --aq-requirements=environment.yml true
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

# on_node COMMAND...: as the test user, where the examples are.
on_node() { as_user -C "$IT_SUBMIT" "$@"; }

# submitted OPTION... SCRIPT: sbatch it on n1 and wait; JOB is its id.
submitted() {
  JOB=$(on_node sbatch --parsable "$@")
  it_wait "$JOB"
  it_job_is COMPLETED "$JOB"
}

# shape: what of a transcript is the same everywhere.
shape() {
  sed -E -e 's|^/.*/envs/[0-9a-f]{20}-1$|ENVIRONMENT|' -e 's/[0-9]+(\.[0-9]+)?/N/g' -e 's/[KMG]?B new/MB new/'
}

@test "README.md shows what one sees" {
  local shown
  # what stands between the two commands, and after them
  shown=$(awk '/^```/ {inside = 0} /^\$ srun .*req.yaml python fn.py$/ {inside = 1; next} inside' "$TOP/README.md" | shape)
  diff <(cat "$IT_DIR/first" "$IT_DIR/second" | shape) - <<<"$shown"
}

@test "every srun that the documentation shows runs" {
  local line lines
  aq --node n1 show --lock "$IT_SUBMIT/req.yaml" >"$IT_SUBMIT/lock.txt"
  mapfile -t lines < <(python3 -B "$TOP/tests/cli/doc_commands.py" slurm "$TOP"/README.md "$TOP"/docs/*.md "$TOP"/docs/man/*.[158] |
    cut -f2 | grep srun | grep -v typo.yaml | sort -u)
  ((${#lines[@]} > 6))
  for line in "${lines[@]}"; do
    on_node bash -o pipefail -c "$line" >"$IT_DIR/out" 2>&1 || {
      echo "$line" >&2
      cat "$IT_DIR/out" >&2
      return 1
    }
  done
}

@test "job.sh: a batch script and its step are in the job's environment" {
  submitted job.sh
  run -0 grep -c "accuracy: 0.9" "$IT_SUBMIT/job-$JOB.out"
  assert_equal "$output" 2
}

@test "array.sh: each task draws its number in the same environment" {
  submitted --array=1-4 array.sh
  run -0 cat "$IT_SUBMIT/array-$JOB"_{1,2,3,4}.out
  assert_equal "${#lines[@]}" 4
  assert_contains "${lines[3]}" "task 4 drew "
}

@test "several.sh: an environment for each step, and none" {
  submitted several.sh
  run -0 cat "$IT_SUBMIT/several-$JOB.out"
  assert_contains "$output" "accuracy: 0.9"
  assert_contains "$output" "python 3 12"
  assert_contains "$output" "environment: none of ours"
}

@test "ranks.py: all ranks are in one environment, and share the work" {
  run -0 --separate-stderr on_node srun -n4 --mpi=none --aq-requirements=req.yaml python ranks.py
  assert_equal "${#lines[@]}" 4
  assert_equal "$(awk '{s += $5} END {print s}' <<<"$output")" 5050
  assert_equal "$(awk '{print $NF}' <<<"$output" | sort -u | wc -l)" 1
  run -0 --separate-stderr on_node srun -n4 --mpi=pmi2 --aq-requirements=req.yaml python ranks.py
  assert_equal "$(awk '{s += $5} END {print s, $4}' <<<"$output")" "5050 4:"
}

@test "environment.yml: a project's own file, its name and prefix without effect" {
  run -0 --separate-stderr on_node srun --aq-requirements=environment.yml \
    python -c 'import requests, cloudpickle, os; print(os.environ["CONDA_PREFIX"])'
  [[ $output == "$(it_cache n1)"/envs/* ]]
}

gone() { [[ ! -e $1 ]]; }

@test "nightly.sh: with its next request the environment before it goes by itself" {
  local before after
  echo '{channels: [conda-forge], dependencies: [activate-demo]}' >"$IT_SUBMIT/other.yaml"
  submitted --aq-requirements=other.yaml nightly.sh
  before=$(tail -n 1 "$IT_SUBMIT/nightly-$JOB.out") # progress stands above it
  submitted nightly.sh
  after=$(tail -n 1 "$IT_SUBMIT/nightly-$JOB.out")
  [[ $before == "$(it_cache n1)"/envs/* && $before != "$after" ]]
  wait_until "$IT_BEHIND_SECONDS" gone "$before"
  [[ -d $after ]]
}

# with_profile: what Snakemake does with the profile, and Snakefile, in a directory
# of the test user's.
with_profile() {
  local dir=$IT_SUBMIT/snake tools
  tools=$("$AQ_LIB/get-snakemake")
  install -d -o "$AQ_TEST_USER" "$dir"
  on_node cp -r "$BATS_TEST_DIRNAME"/../../examples/{Snakefile,snakemake,req.yaml,environment.yml,fn.py} "$dir"
  as_user -C "$dir" PATH="$tools/bin:$PATH" python -m snakemake --profile snakemake >"$IT_DIR/snakemake.log" 2>&1 || {
    cat "$IT_DIR/snakemake.log" >&2
    return 1
  }
  cat "$dir/report.txt"
}

@test "snakemake/: each rule runs in the environment that it names" {
  python3 - "$IT_SUBMIT/snakemake/config.yaml" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
assert re.search(r"^executor: cluster-generic$", text, re.M)
assert re.search(r"sbatch --parsable .*\n?.*--aq-requirements=\{resources\.requirements\}", text)
PY
  if ((${AQ_COUNT_SNAKEMAKE:-0})); then
    run -0 --separate-stderr with_profile
    assert_contains "$output" "accuracy: 0.9"
    assert_contains "$output" "(3, 12)"
  fi
}

slurmctld_is_gone() { ! pgrep -f "^[^ ]*slurmctld\$"; }

# restart_slurmctld: with slurm.conf as it is now.
restart_slurmctld() {
  kill "$(<"$IT_DIR/run/slurmctld.pid")"
  wait_until 30 slurmctld_is_gone
  cluster_daemon "$IT_DIR" slurmctld 3>&-
  it_begin
}

@test "job_submit.lua: what would not fit into a prolog's environment is refused" {
  cp "$IT_SUBMIT/job_submit.lua" "$IT_DIR/etc/"
  echo "JobSubmitPlugins=lua" >>"$IT_DIR/etc/slurm.conf"
  restart_slurmctld
  run -0 --separate-stderr on_node srun --aq-requirements=req.yaml printenv AQ_RESOLUTION
  assert_equal "$output" reused
  it_forging_slurm
  run -0 on_node SLURM_CONF="$FORGED" FORGE=little sbatch -o /dev/null --wrap true
  run ! --separate-stderr on_node SLURM_CONF="$FORGED" FORGE="$(printf '%033000d' 0)" sbatch -o /dev/null --wrap true
  assert_contains "$stderr" "a job may have 100, with 32768 bytes"
  sed -i '/^JobSubmitPlugins/d' "$IT_DIR/etc/slurm.conf"
  restart_slurmctld
}

@test "aq-shared.conf and aq-offline.conf: doctor reads them, and finds what is only not here" {
  local conf
  for conf in aq-shared aq-offline; do
    install -m 644 "$BATS_TEST_DIRNAME/../../examples/$conf.conf" "$IT_DIR/etc/$conf.conf"
    run --separate-stderr aq --config "$IT_DIR/etc/$conf.conf" --node n1 doctor --json
    jq -e '[.findings[] | select(.check == "conf" and .level != "ok")] == []' <<<"$output"
    run -0 --separate-stderr aq --config "$IT_DIR/etc/$conf.conf" check --json "$IT_SUBMIT/req.yaml"
    jq -e '.channels == ["conda-forge"] and .warnings == []' <<<"$output"
  done
}
