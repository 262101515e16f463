#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# scancel while an environment is built: the node is clean within two seconds
# (docs/design.md promises that), whichever way Slurm tracks processes.
# shellcheck disable=SC2154 # bats sets stderr

load lib
readonly CLEAN_SECONDS=2

setup() {
  export IT_PROCTRACK=${BATS_TEST_DESCRIPTION##*/}
  local word
  word=$(it_word)
  it_up --nodes 1 --proctrack "$IT_PROCTRACK" --node-name "$word"
  NODE=${word}1
  it_begin
}
teardown() {
  local status=0
  it_open && it_end || status=1
  it_down || status=1
  return "$status"
}

is_clean_and_idle() {
  it_is_clean "$NODE" && cluster_is_idle "$IT_DIR"
}

# cancelled_at before|after VERB: in a job of several tasks, and in a batch job
cancelled_at() {
  local file job
  file=$(it_small)
  it_gate "$@"
  job=$(it_submit -n 4 --aq-requirements="$file" --wrap "srun echo ran")
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  scancel "$job"
  wait_until "$CLEAN_SECONDS" is_clean_and_idle
  it_job_is CANCELLED "$job"
  assert_equal "$(it_builds "$NODE")" 0
  it_open
  run -0 --separate-stderr as_user srun -n 2 --aq-requirements="$file" printenv AQ_RESOLUTION
  it_forget
}

@test "cancelled while it resolves, and while it installs, under proctrack/linuxproc" {
  cancelled_at before solve
  cancelled_at before link
}

@test "cancelled while it resolves, and while it installs, under proctrack/cgroup" {
  [[ -d /sys/fs/cgroup/freezer || -e /sys/fs/cgroup/cgroup.controllers ]] ||
    skip "this machine has no cgroups"
  cancelled_at before solve
  cancelled_at before link
}

@test "a build goes on while another job waits for it, under proctrack/linuxproc" {
  local file first second
  file=$(it_small)
  it_gate before link
  first=$(it_submit --aq-requirements="$file" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  second=$(it_submit --aq-requirements="$file" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_job_is RUNNING "$second"
  # both builders are there: one builds, one waits for its turn
  wait_until "$IT_JOB_SECONDS" two_builders
  scancel "$first"
  it_wait "$first"
  it_open
  it_wait "$second"
  it_job_is COMPLETED "$second"
  assert_equal "$(it_attempts "$NODE")" 1
}

two_builders() { (($(it_builders "$NODE" | wc -l) == 2)); }

# What nobody reads may not keep a task that Slurm cannot signal yet: a terminal that was
# stopped, a FIFO.
@test "cancelled while nobody reads what it says, under proctrack/linuxproc" {
  local file job fifo=$IT_SUBMIT/fifo
  file=$(it_small)
  as_user mkfifo "$fifo"
  as_user python3 -c 'import fcntl, os, sys, time
f = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
fcntl.fcntl(f, 1031, 4096)  # F_SETPIPE_SZ
os.write(f, bytes(4096))
open(sys.argv[1] + ".full", "w")
while os.path.exists(sys.argv[1]):
    time.sleep(0.1)' "$fifo" >/dev/null 2>&1 3>&- &
  wait_until 10 test -e "$fifo.full"
  it_gate after solve
  job=$(it_submit --error="$fifo" --aq-requirements="$file" --wrap "echo ran")
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  scancel "$job"
  wait_until $((CLEAN_SECONDS + 5)) is_clean_and_idle
  it_job_is CANCELLED "$job"
  # and what fails ends
  it_open
  job=$(it_submit --error="$fifo" --aq-requirements="$(it_file no.yaml <<<'{channels: [conda-forge], dependencies: [aq-never]}')" --wrap "echo ran")
  it_wait "$job" 60
  assert_contains "$(scontrol -o show job "$job")" "ExitCode=125:0"
  rm "$fifo"
}

# Without a process of the user's that Slurm can signal a task that waits cannot be ended.
@test "what cannot be watched does not wait, under proctrack/linuxproc" {
  local file job
  file=$(it_small)
  it_kill_node "$NODE" TERM
  cluster_daemon "$IT_DIR" unshare -m --propagation private sh -c \
    "mount --bind /dev/null $IT_INSTALL/libexec/slurm-aq/aq-watch && exec slurmd -N $NODE" 3>&-
  wait_until 30 it_node_answers "$NODE"
  it_gate after solve
  job=$(it_submit --output="$IT_SUBMIT/unwatched.out" --aq-requirements="$file" --wrap "echo ran")
  it_wait "$job" 30
  assert_contains "$(scontrol -o show job "$job")" "ExitCode=125:0"
  assert_contains "$(<"$IT_SUBMIT/unwatched.out")" "cannot wait for its environment to be built"
  wait_while 10 it_has_workers "$NODE"
}
