#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # bats sets stderr
# What is wrong with a request is said before anything is queued.

load lib
setup_file() { it_up; }
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

# refused COMMAND...: fails with 1, queues nothing; sets $stderr
refused() {
  run -1 --separate-stderr as_user "$@"
  assert_equal "$(squeue -h)" ""
}

@test "an unknown key is named with file, line, column and the nearest key" {
  file=$(it_file typo.yaml <<'YAML'
name: demo
channels: [conda-forge]
dependancies: [python=3.9]
YAML
  )
  for command in srun sbatch salloc; do
    case $command in
      sbatch) arguments=(--wrap true) ;;
      *) arguments=(true) ;;
    esac
    refused "$command" --aq-requirements="$file" "${arguments[@]}"
    assert_contains "$stderr" "$file:3:1: "
    assert_contains "$stderr" "did you mean 'dependencies'?"
  done
}

@test "nothing of a refused request reaches a node" {
  file=$(it_file dup.yaml <<<'{dependencies: [python=3.9], dependencies: [python=3.12]}')
  before=$(scontrol show config | grep -i '^NEXT_JOB_ID')
  refused srun --aq-requirements="$file" true
  assert_equal "$(scontrol show config | grep -i '^NEXT_JOB_ID')" "$before"
  [[ ! -e $(it_cache n1) ]]
}

@test "a file that is not there is an error of the command" {
  refused srun --aq-requirements="$IT_SUBMIT/absent.yaml" true
  assert_contains "$stderr" "absent.yaml"
}

@test "a file over 64 KiB is refused" {
  file=$(it_file big.yaml < <(
    echo "dependencies: [python=3.9]"
    head -c 70000 /dev/zero | tr '\0' '#'
  ))
  refused srun --aq-requirements="$file" true
  assert_contains "$stderr" "big.yaml"
}

@test "a batch script's own #SBATCH line is read and refused the same way" {
  file=$(it_file bad.yaml <<<'nonsense: 1')
  script=$(it_file job.sh <<SH
#!/bin/bash
#SBATCH --aq-requirements=$file
true
SH
  )
  refused sbatch "$script"
  assert_contains "$stderr" "$file:1:1: "
}
