#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # bats sets stderr
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# What is wrong with a request, or made to be, is said before anything is queued.

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

# bomb NAME: a file that costs who expands it more than it is long.
bomb() {
  local n
  case $1 in
    aliases)
      echo 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]'
      for n in {1..9}; do echo "a$n: &a$n [$(printf "*a$((n - 1)), %.0s" {1..9})*a$((n - 1))]"; done
      echo 'dependencies: *a9'
      ;;
    alias) echo 'dependencies: [&a ab, *a]' ;;
    merge) printf '%s\n' 'a: &a {k: v}' 'dependencies: {<<: [*a, *a]}' ;;
    self) echo 'dependencies: &a [*a]' ;;
    deep) printf 'dependencies: %s' "$(head -c 30000 /dev/zero | tr '\0' '[')" ;;
    deeper) for n in {0..300}; do printf '%*sa:\n' "$n" ''; done ;;
    scalar) printf 'dependencies: [%s]\n' "$(head -c 60000 /dev/zero | tr '\0' x)" ;;
    folded) printf 'dependencies:\n- >\n%s' "$(printf '  a\n\n%.0s' {1..9000})" ;;
    key) printf '? %s\n: [x]\n' "$(head -c 60000 /dev/zero | tr '\0' x)" ;;
    many) printf 'dependencies: [%s]\n' "$(printf 'a%d, ' {1..9000})" ;;
    documents) printf -- '--- {}\n%.0s' {1..9000} ;;
    tag) echo 'dependencies: !!python/object/apply:os.system ["true"]' ;;
    nul) printf 'dependencies: [a\0b]\n' ;;
    escapes) printf 'dependencies: ["%s"]\n' "$(printf '\\U0010FFFF%.0s' {1..6000})" ;;
  esac
}

# bombs: each, and why it is refused.
bombs() {
  cat <<TABLE
aliases|aliases are not supported
alias|aliases are not supported
self|aliases are not supported
merge|merge keys are not supported
deep|nested too deep
deeper|nested too deep
scalar|is over 2048 characters
folded|is over 2048 characters
key|unknown key
many|more than 1024 packages
documents|a second document
tag|tags are not supported
nul|has a NUL byte
escapes|is over 2048 characters
TABLE
}

@test "what is made to grow is refused at once" {
  local name why file before
  before=$(scontrol show config | grep -i '^NEXT_JOB_ID')
  while IFS='|' read -r name why; do
    file=$(bomb "$name" | it_file "$name.yaml")
    (($(stat -c %s "$file") <= 65536))
    # seconds of processor time and memory that none needs
    run --separate-stderr as_user prlimit --cpu=5 --data=268435456 timeout 60 \
      "$(command -v srun)" --aq-requirements="$file" true </dev/null
    [[ $status == 1 && $stderr == *"$file:"*"$why"* ]] || { echo "$name: $status $stderr" >&2; false; }
    ((${#stderr} < 4096))
    [[ $stderr != *$'\e'* ]]
  done < <(bombs)
  assert_equal "$(scontrol show config | grep -i '^NEXT_JOB_ID')" "$before"
  # of that shape, and small
  file=$(it_file small-shape.yaml <<<'dependencies: [ab, {pip: [x, y]}]')
  run -0 aq check "$file"
}

# checked YAML: what it means, or "refused".
checked() {
  echo "$1" | it_file form.yaml >/dev/null
  aq check "$IT_SUBMIT/form.yaml" --json 2>/dev/null || echo refused
}
digest_of() { [[ $1 == *refused ]] || jq -r .digest <<<"$1"; }

@test "no request has the form of another: what separates lines and words is no part of a word" {
  local honest file said
  honest=$(digest_of "$(checked '{channels: [conda-forge], dependencies: [python=3.12, ab, cd, {pip: [ef]}], variables: {A: "1", B: "2"}}')")
  # the same, written otherwise: that would be told
  assert_equal "$(digest_of "$(checked '{dependencies: [python=3.12, CD, "ab ", {pip: [EF]}], channels: [conda-forge], variables: {B: "2", A: "1"}}')")" "$honest"
  while IFS= read -r file; do
    said=$(checked "$file")
    [[ -n $said ]]
    [[ $said == *refused || $(digest_of "$said") =~ ^[0-9a-f]{64}$ ]]
    [[ $(digest_of "$said") != "$honest" ]] || { echo "$file has the form of another" >&2; false; }
  done <<'FORMS'
{channels: [conda-forge], dependencies: [python=3.12, "ab\nconda cd", {pip: [ef]}], variables: {A: "1", B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, "ab\rconda cd", {pip: [ef]}], variables: {A: "1", B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, "ab\Lconda cd", {pip: [ef]}], variables: {A: "1", B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, "ab\0cd", cd, {pip: [ef]}], variables: {A: "1", B: "2"}}
{channels: ["conda-forge\nconda ab"], dependencies: [python=3.12, cd, {pip: [ef]}], variables: {A: "1", B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, ab, "cd\npip ef"], variables: {A: "1", B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, ab, cd, {pip: ["ef\nvariable A=1"]}], variables: {B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, ab, cd, {pip: [ef]}], variables: {A: "1\nvariable B=2"}}
{channels: [conda-forge], dependencies: [python=3.12, ab, cd, {pip: [ef]}], variables: {"A=1\nvariable B": "2"}}
{channels: [conda-forge], dependencies: [python=3.12, ab, cd, {pip: [ef]}], variables: {A: "1", "B=2": ""}}
{channels: [conda-forge], dependencies: [python=3.12, a, bcd, {pip: [ef]}], variables: {A: "1", B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, ab, cd, ef], variables: {A: "1", B: "2"}}
{channels: [conda-forge], dependencies: [python=3.12, {pip: [ab, cd, ef]}], variables: {A: "1", B: "2"}}
{dependencies: [python=3.12, "conda-forge::ab", "conda-forge::cd", {pip: [ef]}], variables: {A: "1", B: "2"}}
FORMS
}

@test "a refresh that somebody made up is one at most, and a job's own" {
  local file other job value before values=("" 0 1 2 yes ../x $'1\nused x' "$(printf '1%.0s' {1..5000})")
  file=$(it_small)
  other=$(it_file other.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo], variables: {OTHER: "1"}}')
  run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION
  before=$(it_attempts n1)
  {
    printf '#!/bin/bash\n'
    for value in "${values[@]}"; do
      printf 'SLURM_AQ_REFRESH=%q %q --aq-requirements=%q printenv AQ_RESOLUTION\n' "$value" "$(command -v srun)" "$file"
    done
  } | it_file refresh.sh >/dev/null
  job=$(it_submit "$IT_SUBMIT/refresh.sh")
  it_wait "$job"
  assert_equal "$(cat "$IT_SUBMIT/$job"_*.out | grep -cxE 'reused|created|linked|inherited')" "${#values[@]}"
  # once in that job, however often it says so and what
  assert_equal "$(($(it_attempts n1) - before))" 1
  # others have what they had
  run -0 --separate-stderr as_user -u "$AQ_OTHER_USER" srun --aq-requirements="$other" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  assert_equal "$(($(it_attempts n1) - before))" 1
}
