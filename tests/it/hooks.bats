#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the plugin does to Slurm's own processes and takes from the submitter's:
# descriptors, memory, signals, limits; and what it leaves in a job's environment.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables
# shellcheck disable=SC2030,SC2031,SC2119,SC2120 # bats runs each test in a subshell

load lib
readonly MEMORY_KIB=1024 # a hit's answer and its copies are below 300 KiB

setup_file() {
  it_up
  FILE=$(it_small)
  export FILE
  as_user srun --aq-requirements="$FILE" true
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() {
  it_open
  scancel --quiet --user="$AQ_TEST_USER"
  it_end
}

# The program's descriptors, without the numbers that differ each time.
fds() { as_user srun "$@" sh -c 'for f in /proc/self/fd/*; do echo "$f $(readlink $f)"; done' | sed 's/[0-9]*\]$//; s/proc\/[0-9]*/proc/g'; }

# step_daemon JOB: the pid of its step's slurmstepd, once its task runs
step_daemon() { it_stepds "$1\.0"; }

# held JOB: the files that stand for what it holds
held() { find "$IT_DIR/nodes/n1/run" -name "$1.*"; }

# sleeping OPTION...: a job whose step sleeps; sets $job and $daemon
sleeping() {
  rm -f "$IT_SUBMIT/started"
  job=$(it_submit "$@" --wrap "srun sh -c 'touch $IT_SUBMIT/started; exec sleep 300'")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/started"
  daemon=$(step_daemon "$job")
}

# is_watched DAEMON: whether a task of its has a watcher
is_watched() {
  local task
  for task in $(pgrep -P "$1"); do
    if pgrep -P "$task" -x aq-watch; then return; fi
  done
  return 1
}

@test "the program inherits no descriptor from the plugin" {
  without=$(fds)
  run -0 --separate-stderr fds --aq-requirements="$FILE"
  assert_equal "$output" "$without"
  it_forget
  run -0 --separate-stderr fds --aq-requirements="$FILE" # with a build
  assert_equal "$output" "$without"
}

@test "slurmstepd loads no library for it and hardly grows" {
  sleeping
  without=$(awk '/^VmRSS/ {print $2}' "/proc/$daemon/status")
  scancel "$job"
  it_wait "$job"
  sleeping --aq-requirements="$FILE"
  with=$(awk '/^VmRSS/ {print $2}' "/proc/$daemon/status")
  libraries=$(grep -oE 'libaq-|libsqlite3|libyaml' "/proc/$daemon/maps" | sort -u || :)
  scancel "$job"
  it_wait "$job"
  assert_equal "$libraries" ""
  ((with - without < MEMORY_KIB)) || {
    echo "slurmstepd has $with KiB with the option, $without without" >&2
    return 1
  }
}

@test "a step holds a lease while it runs, and none after" {
  sleeping --aq-requirements="$FILE"
  run -0 held "$job"
  assert_contains "$output" "/leases/$job.0."
  assert_contains "$output" "/jobs/$job.n1"
  scancel "$job"
  it_wait "$job"
  wait_until "$IT_JOB_SECONDS" cluster_is_idle "$IT_DIR"
  assert_equal "$(held "$job")" ""
}

@test "the command line wins over the script's own line, and the last one over others" {
  bad=$(it_file nonsense.yaml <<<'nonsense: 1')
  script=$(it_file line.sh <<SH
#!/bin/bash
#SBATCH --aq-requirements=$bad
echo "\$AQ_RESOLUTION"
SH
  )
  job=$(it_submit --aq-requirements="$FILE" "$script")
  it_wait "$job"
  assert_equal "$(cat "$IT_SUBMIT/$job"_*.out)" "reused"
  run -0 --separate-stderr as_user srun --aq-requirements="$bad" --aq-requirements="$FILE" printenv AQ_RESOLUTION
  assert_equal "$output" "reused"
}

@test "none and a nested sbatch leave nothing of ours, Slurm's variables included" {
  inner=$(it_file inner-none.sh <<'SH'
#!/bin/bash
env | grep -i _aq_ | grep -v "^SLURM_JOB_NAME="
srun env | grep -i _aq_ | grep -v "^SLURM_JOB_NAME="
echo "end"
SH
  )
  outer=$(it_file outer-none.sh <<SH
#!/bin/bash
srun --aq-requirements=none env | grep -i _aq_
sbatch --wait -o $IT_SUBMIT/nested-none.out $inner >/dev/null
cat $IT_SUBMIT/nested-none.out
SH
  )
  job=$(it_submit --aq-requirements="$FILE" "$outer")
  it_wait "$job"
  assert_equal "$(cat "$IT_SUBMIT/$job"_*.out)" "end"
}

@test "a signal that is meant for the program does not end the wait for a build" {
  it_forget
  it_gate before link
  job=$(it_submit --aq-requirements="$FILE" --wrap "echo ran")
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  daemon=$(it_stepds "$job\.batch" | head -n 1)
  wait_until "$IT_JOB_SECONDS" is_watched "$daemon"
  scancel --signal=USR1 --full "$job"
  scancel --signal=USR2 --full "$job"
  it_open
  it_wait "$job"
  it_job_is COMPLETED "$job"
  assert_contains "$(cat "$IT_SUBMIT/$job"_*.out)" "ran"
}

@test "the submitter's umask, limits, directory and signals do not reach a build" {
  it_forget
  gone=$IT_SUBMIT/gone
  as_user mkdir -p "$gone"
  run -0 --separate-stderr as_user -C "$gone" bash -c '
    umask 0777; ulimit -f 1; ulimit -n 40; ulimit -t 1
    trap "" TERM HUP PIPE
    srun --aq-requirements="$0" printenv AQ_ENV_PREFIX' "$FILE"
  prefix=$output
  [[ $(stat -c %a "$prefix") == *5 ]]
  run -0 --separate-stderr as_user -u "$AQ_OTHER_USER" srun --aq-requirements="$FILE" \
    sh -c 'ls "$AQ_ENV_PREFIX/conda-meta" && echo "$AQ_RESOLUTION"'
  assert_contains "$output" "reused"
}

@test "after kill -9 of slurmstepd the task runs on, and the job's end drops what it held" {
  sleeping --aq-requirements="$FILE"
  task=$(pgrep -P "$daemon" -x sleep)
  kill -KILL "$daemon"
  wait_while "$IT_JOB_SECONDS" kill -0 "$daemon"
  kill -0 "$task"
  # srun waits for a step that nobody will end
  mapfile -t waiting < <(pgrep -f "^srun sh -c touch $IT_SUBMIT/started")
  scancel "$job"
  kill -KILL "$task" "${waiting[@]}"
  it_wait "$job"
  wait_until "$IT_JOB_SECONDS" cluster_is_idle "$IT_DIR"
  assert_equal "$(held "$job")" ""
  run -0 --separate-stderr as_user srun --aq-requirements="$FILE" printenv AQ_RESOLUTION
  assert_equal "$output" "reused"
}
