# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A private Slurm in a directory of its own: munged, slurmctld and as many
# slurmd as asked for, on ports of their own.  It touches no Slurm that is
# installed, and leaves no process behind.  Sourced; needs wait.sh and
# accounts.sh.
#
# Layout of a cluster's DIR:
#   env.sh        what a shell sources to use it
#   etc/          slurm.conf cgroup.conf plugstack.conf aq.conf
#   log/          of all daemons
#   run/          pid files, munge's key and socket
#   state/ spool/ Slurm's own
#   nodes/NAME/   lib (cache_dir) and run (run_dir) of a node
#   bin/          wrappers that aq.conf names

readonly CLUSTER_START_SECONDS=60 # generous: the machine may be loaded
readonly CLUSTER_STOP_SECONDS=10  # then SIGKILL

# Options of cluster_up, set by cluster_options.
cluster_defaults() {
  CLUSTER_NODES=1
  CLUSTER_CPUS=8          # of each node, as Slurm believes
  CLUSTER_PREFIX_NAME=n   # nodes are called n1, n2, ...
  CLUSTER_PROCTRACK=linuxproc
  CLUSTER_SLURM=/usr
  CLUSTER_INSTALL=        # where slurm-aq was installed
  CLUSTER_PLUGIN=         # spank_aq.so; default: below CLUSTER_INSTALL
  CLUSTER_PLUGSTACK=      # a plugstack.conf that is there
  CLUSTER_TOOLS=          # the venv that runs the bundled client
  CLUSTER_SLURM_CONF=()   # more lines for slurm.conf
  CLUSTER_AQ_CONF=()      # more lines for aq.conf
}

cluster_usage() {
  cat <<'EOF'
  --nodes N           slurmd to start (1)
  --cpus N            CPUs that each claims (8)
  --node-name WORD    nodes are called WORD1, WORD2, ... (n)
  --proctrack KIND    linuxproc or cgroup (linuxproc)
  --slurm PREFIX      which Slurm (/usr)
  --install PREFIX    where slurm-aq is installed; none: no plugin
  --plugin FILE       another spank_aq.so than that one's
  --plugstack FILE    load the plugins that this plugstack.conf names
  --tools DIR         the venv for the bundled client (tests/lib/get-tools)
  --channel DIR       a test channel (tests/lib/get-channel): sets channels
                      and find_links
  --slurm-conf LINE   adds a line to slurm.conf
  --set KEY=VALUE     adds a line to aq.conf
EOF
}

# cluster_options OPTION... : set CLUSTER_* from a command line.
cluster_options() {
  local option
  while (($#)); do
    option=$1
    if (($# < 2)); then
      echo "'$option' needs a value, or is no option; options are:" >&2
      cluster_usage >&2
      return 2
    fi
    case $option in
      --nodes) CLUSTER_NODES=$2 ;;
      --cpus) CLUSTER_CPUS=$2 ;;
      --node-name) CLUSTER_PREFIX_NAME=$2 ;;
      --proctrack) CLUSTER_PROCTRACK=$2 ;;
      --slurm) CLUSTER_SLURM=$2 ;;
      --install) CLUSTER_INSTALL=$2 ;;
      --plugin) CLUSTER_PLUGIN=$2 ;;
      --plugstack) CLUSTER_PLUGSTACK=$2 ;;
      --tools) CLUSTER_TOOLS=$2 ;;
      --channel)
        CLUSTER_AQ_CONF+=("channels = conda-forge=file://$2" "find_links = $2/wheels")
        ;;
      --slurm-conf) CLUSTER_SLURM_CONF+=("$2") ;;
      --set) CLUSTER_AQ_CONF+=("${2%%=*} = ${2#*=}") ;;
      *)
        echo "unknown option '$option'; options are:" >&2
        cluster_usage >&2
        return 2
        ;;
    esac
    shift 2
  done
}

# cluster_up DIR OPTION... : start it and wait until every node is idle.  On
# failure what was started is ended again, and the logs' last lines shown.
cluster_up() {
  local dir=$1
  shift
  cluster_defaults
  cluster_options "$@" || return
  if [[ $EUID -ne 0 ]]; then
    echo "a private Slurm needs root: its nodes run jobs as other users" >&2
    return 1
  fi
  need_accounts || return
  cluster_is_usable_dir "$dir" || return
  mkdir -p "$dir"
  dir=$(readlink -f "$dir")
  cluster_is_reachable "$dir" || return
  if cluster_has cluster_pids "$dir"; then
    echo "a cluster is running in '$dir': end it with 'cluster down $dir'" >&2
    return 1
  fi
  cluster_write "$dir" || return
  if ! cluster_start "$dir"; then
    tail -n 5 "$dir"/log/*.log >&2 || :
    cluster_down "$dir"
    return 1
  fi
}

# Only a directory that is empty, or was a cluster's, is written over.
cluster_is_usable_dir() {
  if [[ -n $(ls -A "$1" 2>/dev/null) && ! -e $1/install && ! -e $1/client ]] &&
    ! grep -qs '^ClusterName=aq$' "$1/etc/slurm.conf"; then
    echo "'$1' holds something else: name a new directory" >&2
    return 1
  fi
}

# Unprivileged users must get to the environments below DIR.
cluster_is_reachable() {
  local path=$1
  chmod 755 "$path"
  while [[ $path != / ]]; do
    if [[ ! -k $path && $(stat -c %A "$path") != *x ]]; then
      echo "users cannot pass '$path': choose a directory elsewhere, say below /var/tmp" >&2
      return 1
    fi
    path=$(dirname "$path")
  done
}

# cluster_free_ports N: N TCP ports that nobody listens on.
cluster_free_ports() {
  python3 - "$1" <<'EOF'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))
EOF
}

cluster_node_names() {
  local i
  for ((i = 1; i <= CLUSTER_NODES; i++)); do echo "$CLUSTER_PREFIX_NAME$i"; done
}

# All files of a cluster, from CLUSTER_*.
cluster_write() {
  local dir=$1 name
  (
    umask 022
    cd "$dir" || return
    rm -rf etc log run state spool nodes bin env.sh
    mkdir -p etc log run/munge state spool nodes bin
    for name in $(cluster_node_names); do
      mkdir -p "spool/$name" "nodes/$name"
    done
    head -c 128 /dev/urandom >run/munge/key
    chmod 400 run/munge/key
    chmod 700 state
    cluster_slurm_conf "$dir" >etc/slurm.conf
    cluster_cgroup_conf >etc/cgroup.conf
    cluster_plugstack_conf "$dir" >etc/plugstack.conf
    cluster_aq_conf "$dir" >etc/aq.conf
    cluster_env "$dir" >env.sh
  )
}

cluster_slurm_conf() {
  local dir=$1 name ports i=1
  read -ra ports < <(cluster_free_ports $((CLUSTER_NODES + 1)))
  cat <<EOF
ClusterName=aq
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge/socket
CredType=cred/munge
SlurmctldPort=${ports[0]}
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
PlugStackConfig=$dir/etc/plugstack.conf
ProctrackType=proctrack/$CLUSTER_PROCTRACK
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
PrologFlags=Alloc
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=1
SlurmctldDebug=verbose
SlurmdDebug=verbose
EOF
  for name in $(cluster_node_names); do
    echo "NodeName=$name NodeHostname=$(hostname -s) NodeAddr=127.0.0.1" \
      "Port=${ports[i]} CPUs=$CLUSTER_CPUS RealMemory=1000 State=UNKNOWN"
    ((i++))
  done
  echo "PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP"
  ((${#CLUSTER_SLURM_CONF[@]} == 0)) || printf '%s\n' "${CLUSTER_SLURM_CONF[@]}"
}

# cluster_version: the major version of the chosen Slurm, say 22 or 24.
cluster_version() {
  "$CLUSTER_SLURM/sbin/slurmd" -V | sed 's/[^0-9]*\([0-9]*\).*/\1/'
}

# cgroup.conf(5): without a plugin that the machine has, slurmd does not start;
# since 23.02 it can be told to do without.
cluster_cgroup_conf() {
  if [[ $CLUSTER_PROCTRACK != cgroup ]] && (($(cluster_version) >= 23)); then
    echo "CgroupPlugin=disabled"
  elif [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]; then
    echo "CgroupPlugin=cgroup/v2"
    echo "IgnoreSystemd=yes"
  else
    echo "CgroupPlugin=cgroup/v1"
    (($(cluster_version) >= 24)) || echo "CgroupAutomount=yes"
  fi
}

cluster_plugstack_conf() {
  local plugin=$CLUSTER_PLUGIN
  [[ -n $plugin || -z $CLUSTER_INSTALL ]] || plugin=$CLUSTER_INSTALL/lib/slurm/spank_aq.so
  if [[ -n $CLUSTER_PLUGSTACK ]]; then
    echo "include $CLUSTER_PLUGSTACK"
  elif [[ -z $plugin ]]; then
    echo "# no plugin"
  elif [[ -f $plugin ]]; then
    echo "optional $plugin config=$1/etc/aq.conf"
  else
    echo "no plugin '$plugin': build and install slurm-aq first" >&2
    return 1
  fi
}

# Later lines win, so what the caller sets comes last.
cluster_aq_conf() {
  local dir=$1
  echo "cache_dir = $dir/nodes/%n/lib"
  echo "run_dir = $dir/nodes/%n/run"
  echo "builder_user = $AQ_BUILDER_USER"
  echo "probe_user = $AQ_PROBE_USER"
  if [[ -n $CLUSTER_TOOLS ]]; then
    cluster_bundled_client "$dir"
    echo "client = $dir/bin/aq-rattler"
    echo "pip_client = $CLUSTER_TOOLS/bin/uv"
  fi
  ((${#CLUSTER_AQ_CONF[@]} == 0)) || printf '%s\n' "${CLUSTER_AQ_CONF[@]}"
}

# The bundled client on the Python that has py-rattler.
cluster_bundled_client() {
  local wrapper=$1/bin/aq-rattler
  printf '#!/bin/sh\nexec %q -I %q "$@"\n' "$CLUSTER_TOOLS/bin/python" \
    "$CLUSTER_INSTALL/libexec/slurm-aq/aq-rattler" >"$wrapper"
  chmod 755 "$wrapper"
}

cluster_env() {
  local dir=$1 path=$CLUSTER_SLURM/bin:$CLUSTER_SLURM/sbin channel
  [[ -z $CLUSTER_INSTALL ]] || path=$CLUSTER_INSTALL/bin:$path
  channel=$(sed -n 's/^channels = [^=]*=\([^ ]*\).*/\1/p' "$dir/etc/aq.conf" | tail -n 1)
  printf 'export %s=%q\n' SLURM_CONF "$dir/etc/slurm.conf" AQ_CONF "$dir/etc/aq.conf" \
    AQ_CLUSTER_DIR "$dir" AQ_CHANNEL "$channel"
  # shellcheck disable=SC2016 # the reader's own PATH
  printf 'export PATH=%q:$PATH\n' "$path"
}

# Daemons get an environment of their own and none of our descriptors; AQ_CLUSTER
# marks them, and what they fork, as this cluster's.
cluster_daemon() {
  local dir=$1
  shift
  (
    cd / || return
    umask 022
    local fd
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      ((fd < 3 || fd == 255)) || eval "exec $fd>&-" 2>/dev/null || :
    done
    exec env -i PATH="$CLUSTER_SLURM/sbin:$CLUSTER_SLURM/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
      LANG=C.UTF-8 SLURM_CONF="$dir/etc/slurm.conf" AQ_CLUSTER="$dir" \
      "$@" >>"$dir/log/start.log" 2>&1 </dev/null
  )
}

cluster_start() {
  local dir=$1 name
  cluster_daemon "$dir" munged --key-file="$dir/run/munge/key" \
    --socket="$dir/run/munge/socket" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/run/munge/seed" || return
  cluster_daemon "$dir" slurmctld || return
  for name in $(cluster_node_names); do
    cluster_start_node "$dir" "$name" || return
  done
  cluster_wait_idle "$dir" "$CLUSTER_START_SECONDS"
}

# cluster_start_node DIR NAME: one slurmd; also to bring it back after a kill.
cluster_start_node() { cluster_daemon "$1" slurmd -N "$2"; }

# cluster_wait_idle DIR SECONDS: until every node is idle.
cluster_wait_idle() {
  wait_until "$2" cluster_is_idle "$1"
}

cluster_is_idle() {
  local states
  states=$(SLURM_CONF=$1/etc/slurm.conf "${CLUSTER_SLURM:-/usr}/bin/sinfo" -h -N -o %T) || return
  [[ -n $states ]] && ! grep -qvx idle <<<"$states"
}

# cluster_pids DIR: what belongs to the cluster: daemons and what they forked
# (by AQ_CLUSTER), Slurm's commands and jobs (by SLURM_CONF), builders (by an
# argument below DIR).  Never this shell or those that it runs under.
cluster_pids() {
  local dir=$1 pid environment name ours=" $$ $BASHPID "
  pid=$$
  while ((pid > 1)); do
    pid=$(awk '/^PPid:/ {print $2}' "/proc/$pid/status" 2>/dev/null || echo 0)
    ours+="$pid "
  done
  for pid in /proc/[0-9]*; do
    pid=${pid#/proc/}
    [[ $ours != *" $pid "* ]] || continue
    # the process may be gone by now; not "$(<file)": in bash 5.2 a file that
    # is not there ends the whole shell
    {
      environment=$(tr '\0' '\n' <"/proc/$pid/environ") && read -r name <"/proc/$pid/comm"
    } 2>/dev/null || continue
    if [[ $'\n'$environment$'\n' == *$'\n'"AQ_CLUSTER=$dir"$'\n'* ]]; then
      echo "$pid"
    elif [[ $'\n'$environment$'\n' == *$'\n'"SLURM_CONF=$dir/etc/slurm.conf"$'\n'* &&
      ($'\n'$environment == *$'\n'SLURM_JOB_ID=* || $name =~ ^(srun|sbatch|salloc)$) ]]; then
      echo "$pid"
    elif [[ $name == aq-* ]] && grep -qaF "$dir/" "/proc/$pid/cmdline" 2>/dev/null; then
      echo "$pid"
    fi
  done
}

# cluster_others DIR: those but munged, without which Slurm's tries for seconds to say
# what it still has to.
cluster_others() {
  local munged
  munged=$(cat "$1/run/munged.pid" 2>/dev/null) || :
  cluster_pids "$1" | grep -vx "${munged:-none}" || :
}

# cluster_has WHICH DIR: whether there are some; WHICH: cluster_pids or cluster_others.
cluster_has() { [[ -n $("$1" "$2") ]]; }

cluster_has_no_jobs() { local jobs && jobs=$(squeue -h) && [[ -z $jobs ]]; }

# cluster_down DIR: end everything of the cluster and wait until it is gone.
# Jobs first, so that their steps end as Slurm ends them; then the daemons.
cluster_down() {
  local dir which status=0
  dir=$(readlink -f "$1") || return 0
  if [[ -e $dir/run/slurmctld.pid ]]; then
    (
      # shellcheck source=/dev/null
      . "$dir/env.sh"
      scancel --quiet --user="$AQ_TEST_USER" && scancel --quiet --user="$AQ_OTHER_USER" &&
        wait_until "$CLUSTER_STOP_SECONDS" cluster_has_no_jobs
    ) >/dev/null 2>&1 || :
  fi
  for which in cluster_others cluster_pids; do
    cluster_end "$which" "$dir" || status=1
  done
  return "$status"
}

# cluster_end WHICH DIR: SIGTERM to all of them, and SIGKILL to what stays, which is a
# failure.
cluster_end() {
  local which=$1 dir=$2 pids
  mapfile -t pids < <("$which" "$dir")
  ((${#pids[@]})) || return 0
  kill "${pids[@]}" 2>/dev/null || :
  wait_while "$CLUSTER_STOP_SECONDS" cluster_has "$which" "$dir" 2>/dev/null && return
  mapfile -t pids < <("$which" "$dir")
  ((${#pids[@]})) || return 0
  {
    echo "still running, now killed: $(ps -o pid=,args= -p "${pids[*]}" 2>&1 | tr '\n' ';')"
    tail -n 20 "$dir/log/slurmctld.log"
  } >&2
  kill -KILL "${pids[@]}" 2>/dev/null || :
  wait_while "$CLUSTER_STOP_SECONDS" cluster_has "$which" "$dir"
  return 1
}
