#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# aq build --nodes, with a stand-in for Slurm; see lib.bash.

load lib

# a Slurm of nodes n1 to n4, on each of which srun does something else
slurm() {
  mkdir bin
  cat >bin/sinfo <<'SH'
#!/bin/sh
printf '%s\n' 'n1 debug up' 'n1 other up' 'n2 long up' 'n3 debug up' 'n4 debug up' |
  case $* in *--nodes=n\[*) cat ;; *) grep "^${4#--nodes=} " || : ;; esac
SH
  cat >bin/scontrol <<'SH'
#!/bin/sh
case $3 in
n\[*) printf 'n1\nn2\nn3\nn4\n' ;;
*) printf '%s\n' "$3" ;;
esac
SH
  cat >bin/srun <<'SH'
#!/bin/sh
cd "${0%/*}/.." || exit
echo "$*" >>asked
env | grep '^SLURM_\|^AQ_VERBOSE' >>variables
say() { echo "aq: $node: $*" >&2; }
while [ "$1" != --nodelist ]; do shift; done
node=$2
case $node in
n1) printf 'created\n/envs/x\nabc\n' ;;
n2) say resolving; say "there is no environment, by what the request asks for:"; say "no such package"
    say "log of the build: /log"; echo "srun: error: n2: task 0: Exited with exit code 125" >&2; exit 125 ;;
n3) say "there is no environment, by this node's fault:"; say "disk full"; exit 125 ;;
n4) printf 'srun: error: Requested nodes are \033[1mbusy\n' >&2; exit 1 ;;
n5) kill -TERM $$ ;;
esac
SH
  chmod 755 bin/*
  PATH=$PWD/bin:$PATH
}

@test "build --nodes says of each node what came of it" {
  slurm
  run -3 --separate-stderr env SLURM_JOB_ID=5 SLURM_ACCOUNT=mine aq build --nodes n[1-4] req.yaml
  [[ $(sort <<<"$output") == "n1: created  /envs/x
n2: failed: no such package
n3: failed: disk full
n4: failed: srun: error: Requested nodes are \x1b[1mbusy" ]]
  has "$stderr" "aq: n2: log of the build: /log"
  lacks "$stderr" "resolving"
  lacks "$stderr" "125"
  has "$(<asked)" "--nodelist n1 --partition debug --aq-requirements $PWD/req.yaml --export=ALL /bin/sh -c"
  has "$(<asked)" "--nodelist n2 --partition long "
  [[ $(sort -u variables) == $'AQ_VERBOSE=1\nSLURM_ACCOUNT=mine\nSLURM_AQ_TELL=1' ]]
  run -1 --separate-stderr aq build --nodes n2 --isolated req.yaml
  has "$(<asked)" "--aq-isolated /bin/sh"
  run -3 aq build --nodes n3 req.yaml
  run -1 --separate-stderr aq build --nodes n2 --json req.yaml
  jq -e '.schema == 1 and .nodes == [{node: "n2", resolution: "failed", prefix: null, lock: null,
    error: "no such package\nlog of the build: /log"}]' <<<"$output"
}

@test "build --nodes of what cannot be" {
  slurm
  run -4 --separate-stderr aq build --nodes n9 req.yaml
  has "$stderr" "Slurm has no node 'n9' in a partition that takes jobs"
  run -1 --separate-stderr aq build --nodes n1 --refresh req.yaml
  has "$stderr" "--aq-refresh"
  run -1 --separate-stderr aq build --nodes n1 - <req.yaml
  has "$stderr" "in a file"
  echo 'dependencies: [' >req.yaml
  run -1 --separate-stderr aq build --nodes n1 req.yaml
  has "$stderr" "req.yaml:"
  [[ ! -e asked ]]
  request ok
  rm bin/*
  run -3 --separate-stderr env PATH="$PWD/bin" "$BUILD/aq" build --nodes n1 req.yaml
  has "$stderr" "'sinfo' is not there"
  [[ ! -e lib && ! -e $HOME/.cache ]]
}
