#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# aq as people and programs use it; see lib.bash.

load lib

@test "help names every verb and goes to standard output" {
  run -0 --separate-stderr aq --help
  for verb in check build explain base list show pin unpin gc doctor stats verify workflow freeze run; do
    has "$output" "  $verb "
    run -0 --separate-stderr aq "$verb" --help
    has "${lines[0]}" "usage: aq $verb"
    [[ -z $stderr ]]
    run -0 --separate-stderr aq --help
  done
}

@test "the manual page has every verb and option, and no other" {
  local page verbs options
  page=$(dirname "$BATS_TEST_FILENAME")/../../docs/man/aq.1
  verbs=$(aq --help | sed -n 's/^  \([a-z]\+\) .*/\1/p' | sort -u)
  [[ $(sed -n 's/^\.It Cm \([a-z]\+\).*/\1/p' "$page" | sort -u) == "$verbs" ]]
  options=$(for verb in $verbs; do aq "$verb" --help; done | sed -n 's/^  \(--[a-z-]\+\).*/\1/p' | sort -u)
  [[ $(sed -n 's/^\.It Fl -\([a-z-]\+\).*/--\1/p' "$page" | grep -v -- '--version' | sort -u) == "$options" ]]
}

# completes WORD...: what bash offers for the last of them
completes() {
  (
    # shellcheck source=/dev/null
    . "$(dirname "$BATS_TEST_FILENAME")/../../packaging/bash-completion/aq"
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _aq aq "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}" | sort
  )
}

@test "bash completes verbs, options, names, files and words" {
  local verb
  [[ $(completes aq '') == "$(aq --help | sed -n 's/^  \([a-z]\+\) .*/\1/p' | sort)" ]]
  [[ $(completes aq --config aq.conf gc --no) == "--node" ]]
  for verb in $(completes aq ''); do
    [[ $(completes aq "$verb" --) == "$(aq "$verb" --help | sed -n 's/^  \(--[a-z-]\+\).*/\1/p' | sort)" ]]
  done
  touch other.yaml
  [[ $(completes aq check o) == other.yaml && $(completes aq base add 3.9 --file o) == other.yaml ]]
  # what stands behind an option is no argument, whichever option it is
  [[ $(completes aq stats --output o) == other.yaml && $(completes aq fetch --into o) == other.yaml ]]
  [[ $(completes aq workflow --user root '') == $'list\nremove\nshow' && -z $(completes aq workflow --user '') ]]
  [[ $(completes aq build --nodes n1 o) == other.yaml && $(completes aq freeze o) == other.yaml ]]
  [[ $(completes aq base '') == $'add\nlist\nremove\nsync' ]]
  # every word that --sort takes, and no other
  for word in $(completes aq list --sort ''); do aq list --sort "$word" >/dev/null; done
  [[ $(completes aq list --sort = u) == $'used\nuses' && $(completes aq list --sort =) == *created* ]]
  [[ $(aq list --help | grep -A1 -- --sort | grep -oE "$(completes aq list --sort '' | paste -sd'|')" | sort -u | wc -l) == 6 ]]
  aq build req.yaml 2>/dev/null
  name=$(aq list --json | jq -r '.environments[0].name')
  [[ $(completes aq pin "${name:0:5}") == "$name" && $(completes aq show "${name:0:5}") == "$name" ]]
  [[ $(completes aq show o) == other.yaml && -z $(completes aq pin o) ]]
  has "$(completes aq run req.yaml -- ech)" "echo"
  [[ -z $(completes aq no-such-verb '') ]]
}

@test "the version is configure's" {
  run -0 aq --version
  [[ $output == "aq (slurm-aq) "[0-9]* ]]
}

@test "a wrong command line is 2 and changes nothing" {
  for words in "" "nonsense" "--nonsense" "check" "check a b" "build" "list x" \
    "show" "show a b" "run" "run req.yaml" "run req.yaml --" "check --node" \
    "run --json req.yaml -- true" "check --lock req.yaml" "--lock list" \
    "gc x" "pin" "unpin a b" "gc --max-freed 5X" "gc --max-freed" "list --dry-run" \
    "list --sort" "list --sort colour" "show x --reverse" "--shared gc" \
    "workflow" "workflow x" "workflow list x" "workflow show" "workflow remove" "workflow show a b" \
    "list --user x" "workflow list --nodes n1" "workflow list --lock" "list --wait" \
    "build --reconcile req.yaml" "show --lock" "show --lock --json req.yaml" "--json show req.yaml --lock" \
    "stats x" "stats --json --prometheus" "stats --output" "stats --output=" "list --prometheus" "list --output x" \
    "verify a b" "gc --contents" "list --repair" "freeze a b" "freeze --json"; do
    # shellcheck disable=SC2086 # words
    run -2 --separate-stderr aq $words
    has "$stderr" "usage: aq"
    [[ -z $output ]]
  done
  [[ ! -e lib && ! -e home/.cache ]]
}

@test "build makes it once; then it is reused" {
  run -0 --separate-stderr aq build req.yaml
  has "$output" "created  "
  has "$output" "in 1.5 s, 2.5 MB new"
  has "$stderr" "aq: resolving"
  run -0 --separate-stderr aq build --json req.yaml
  jq -e '.resolution == "reused" and .build_ms == 0 and (.prefix | startswith("/"))' <<<"$output"
  [[ -z $stderr ]]
}

@test "a request that cannot be met is 1, with the reason, and harmless" {
  request refuse
  run -1 --separate-stderr aq build req.yaml
  has "$stderr" "aq: nothing provides numpy 1.99"
  lacks "$stderr" $'\033'
  [[ -z $output ]]
}

@test "a builder that was killed is 3 and says what to do" {
  request die
  run -3 --separate-stderr aq build req.yaml
  has "$stderr" "try again"
}

@test "a builder that is not there is 3" {
  AQ_BUILDER=$PWD/absent run -3 --separate-stderr aq build req.yaml
  has "$stderr" "cannot start '$PWD/absent'"
}

@test "a builder is told when nobody waits any more" {
  request "outlive:$PWD/noticed"
  aq build req.yaml 2>progress &
  wait_for grep -q "building for long" progress
  kill -9 $!
  wait_for test -e noticed
}

@test "a bad aq.conf is 3 and names the line" {
  echo 'failure_ttl = soon' >>aq.conf
  run -3 --separate-stderr aq list
  has "$stderr" "aq.conf:6"
  run -125 --separate-stderr aq run req.yaml -- true
}

@test "an unknown key of aq.conf is a warning" {
  echo 'colour = blue' >>aq.conf
  run -0 --separate-stderr aq list
  has "$stderr" "aq.conf:6: unknown key 'colour'"
}

@test "AQ_VERBOSE says which environment was found" {
  AQ_VERBOSE=1 run -0 --separate-stderr aq run req.yaml -- true
  lacks "$stderr" reused
  AQ_VERBOSE=1 run -0 --separate-stderr aq run req.yaml -- true
  [[ $stderr =~ ^aq:\ reused\ [0-9a-f]{20}-1\ \(created\),\ found\ in\ [0-9.]+\ ms$ ]]
  AQ_VERBOSE=0 run -0 --separate-stderr aq run req.yaml -- true
  [[ -z $stderr ]]
}

@test "run executes the command in the environment, with the request's variables" {
  run -0 --separate-stderr aq run req.yaml -- hello one "two  three"
  [[ $output == "hello from "*"/envs/"*" one two  three" ]]
  run -0 --separate-stderr aq run req.yaml -- sh -c 'echo "$AQ_RESOLUTION $OMP_NUM_THREADS"'
  [[ $output == "reused 4" ]]
  [[ -z $stderr ]]
  [[ $(aq list --json | jq '.environments[0].uses') == 2 ]]
}

@test "run ends with the command's code, or as env(1) does" {
  run -7 aq run req.yaml -- sh -c 'exit 7'
  run -127 --separate-stderr aq run req.yaml -- no-such-command
  has "$stderr" "no-such-command"
  mkdir closed && chmod 0 closed
  PATH=$PWD/closed:$PATH run -127 --separate-stderr aq run req.yaml -- no-such-command
  run -126 --separate-stderr aq run req.yaml -- ./req.yaml
  request refuse
  run -125 --separate-stderr aq run req.yaml -- true
  has "$stderr" "nothing provides"
  run -125 --separate-stderr aq run absent.yaml -- true
}

@test "run in run undoes the first" {
  cp req.yaml other.yaml
  sed -i 's/OMP_NUM_THREADS: "4"/OTHER: "x"/; s/numpy >= 2/scipy/' other.yaml
  aq build other.yaml
  aq run req.yaml -- aq run other.yaml -- env | grep -v '^_=' | sort >inner
  aq run other.yaml -- env | grep -v '^_=' | sort >direct
  diff inner direct
}

@test "the signal that ends a command is the caller's to see" {
  run -143 aq run req.yaml -- sh -c 'kill -TERM $$'
}

@test "a pipe gets no colour, a terminal does, and NO_COLOR is heeded" {
  aq build req.yaml
  lacks "$(aq list)" $'\033'
  has "$(on_terminal aq list)" $'\033[1m'
  lacks "$(NO_COLOR=1 on_terminal aq list)" $'\033'
  lacks "$(TERM=dumb on_terminal aq list)" $'\033'
  has "$(NO_COLOR='' on_terminal aq list)" $'\033[1m'
}

@test "a terminal sees one line that moves and is gone at the end" {
  request "wait:$PWD/go"
  on_terminal aq build req.yaml >typescript &
  wait_for grep -qa "waiting for a test" typescript
  touch go
  wait $!
  # nothing is left of the moving line but its wiping
  has "$(tr -d '\r' <typescript)" $' s  waiting for a test\033[Kcreated  '
}

@test "output that cannot be written is 3" {
  run -3 --separate-stderr bash -c 'aq list >/dev/full'
  has "$stderr" "standard output"
}

@test "fetch says what it put where" {
  mkdir -p there
  run -0 --separate-stderr aq fetch req.yaml --into there
  [[ $output == "fetched  1 packages, 2 wheels  into $PWD/there" ]]
  echo "shared_dir = $PWD/there" >>aq.conf
  run -0 --separate-stderr aq fetch req.yaml --json
  jq -e --arg dir "$PWD/there" '.directory == $dir and .packages == 1 and .wheels == 2' <<<"$output"
  sed -i /shared_dir/d aq.conf
  run -1 --separate-stderr aq fetch req.yaml
  has "$stderr" "aq.conf has no shared_dir: say --into DIRECTORY"
  request refuse
  run -1 --separate-stderr aq fetch req.yaml --into there
  has "$stderr" "nothing provides numpy"
  run -3 --separate-stderr aq fetch req.yaml --into not/there
  run -2 --separate-stderr aq fetch
}
