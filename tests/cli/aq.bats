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

@test "check prints the normalised request" {
  run -0 --separate-stderr aq check req.yaml
  has "$output" "python      3.9.*"
  has "$output" "conda       numpy >=2"
  has "$output" "pip         demo-pkg==1"
  has "$output" "            OMP_NUM_THREADS=4"
  [[ -z $stderr ]]
}

@test "a requirements.txt and a Python file are the request of the req.yaml that says the same" {
  local digest
  echo '{python_version: ">=3.11", requirements: [numpy>=2, scikit-learn==1.6]}' >same.yaml
  digest=$(aq check --json same.yaml | jq -r .digest)
  cat >fn.py <<'PY'
# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit_learn == 1.6.0", "numpy>=2"]
# ///
raise SystemExit("it is read, not run")
PY
  [[ $(aq check --json fn.py | jq -r .digest) == "$digest" ]]
  echo '{requirements: [numpy>=2, scikit-learn==1.6]}' >same.yaml
  digest=$(aq check --json same.yaml | jq -r .digest)
  printf 'scikit_learn==1.6.0 # why\n-r more.txt\n' >requirements.txt
  echo 'numpy >= 2' >more.txt
  [[ $(aq check --json requirements.txt | jq -r .digest) == "$digest" ]]
  # and of every verb that takes one
  printf 'numpy >= 2 --hash=sha256:00\n' >hashed.txt
  run -0 --separate-stderr aq build hashed.txt
  has "$stderr" "warning: hashed.txt:1:1: '--hash' has no effect"
  sed 's/3.11/3.9/' fn.py >old.py
  run -0 --separate-stderr aq run old.py -- sh -c 'echo "$AQ_RESOLUTION"'
  [[ $output == created ]]
  echo 'scipi ==1' >>more.txt
  echo '-i https://index.example.org/simple' >>more.txt
  run -1 --separate-stderr aq check requirements.txt
  [[ $stderr == "more.txt:3:1: option '-i' is not supported: remove it, the administrator chooses where packages come from" ]]
  sed -i 's/dependencies/dependancies/' fn.py
  run -1 --separate-stderr aq check fn.py
  [[ $stderr == "fn.py:3:3: unknown key 'dependancies', did you mean 'dependencies'?" ]]
}

@test "check says of which domain a request is, and which rule refuses it" {
  echo 'requirements: ["a @ git+https://h.example/a@v1", b, --no-binary b]' >private.yaml
  run -1 --separate-stderr aq check private.yaml
  has "$stderr" "private.yaml:1:16: 'a @ git+https://h.example/a@v1' is a repository, which this site refuses (aq.conf's policy: vcs=refuse)"
  has "$stderr" "private.yaml:1:53: '--no-binary' is a build from source, which this site refuses (aq.conf's policy: source=refuse)"
  run -0 aq check req.yaml
  has "$output" "domain      shared"
  echo "policy = vcs=private source=private" >>aq.conf
  run -0 --separate-stderr aq check private.yaml
  has "$output" "no-binary   b"
  has "$output" "domain      private: a repository (vcs=private), a build from source (source=private)"
  run -0 --separate-stderr aq check private.yaml --json
  jq -e '.domain == "private" and .rules == ["vcs", "source"] and .no_binary == ["b"]
    and .pip == ["a @ git+https://h.example/a@v1", "b"]' <<<"$output"
  # what would let others use it is no rule
  echo "policy = source=shared" >>aq.conf
  run -3 --separate-stderr aq check req.yaml
  has "$stderr" "'source' cannot be 'shared'"
}

@test "check --json has every member that design.md promises" {
  run -0 --separate-stderr aq check req.yaml --json
  jq -e '.schema == 1 and (.digest | test("^[0-9a-f]{64}$")) and .python == "3.9.*"
    and .conda == ["numpy >=2"] and .pip == ["demo-pkg==1"]
    and .channels == ["conda-forge"] and .variables.OMP_NUM_THREADS == "4"
    and .warnings == []' <<<"$output"
}

@test "check tells the same digest for another spelling of the same request" {
  printf '%s\n' 'python_version: 3.9' 'channels: [conda-forge]' \
    'dependencies: ["NumPy>=2", {pip: ["demo.pkg == 1.0"]}]' \
    'variables: {OMP_NUM_THREADS: 4, BEHAVE: ok}' >other.yaml
  [[ $(aq check req.yaml --json | jq .digest) == $(aq check other.yaml --json | jq .digest) ]]
}

@test "check warns on standard error and in JSON" {
  echo 'platforms: [linux-64]' >>req.yaml
  run -0 --separate-stderr aq check --json req.yaml
  has "$stderr" "warning: req.yaml:4:1: "
  jq -e '.warnings | length == 1 and (.[0] | startswith("req.yaml:4:1: "))' <<<"$output"
}

@test "check names every error with its place, as editors read it" {
  printf '%s\n' 'dependancies: [x]' 'nonsense: 1' >bad.yaml
  run -1 --separate-stderr aq check bad.yaml
  has "$stderr" "bad.yaml:1:1: unknown key 'dependancies', did you mean 'dependencies'?"
  has "$stderr" $'\nbad.yaml:2:1: '
  [[ -z $output ]]
}

@test "check reads standard input" {
  run -0 aq check - <req.yaml
  has "$output" "demo-pkg==1"
}

@test "a file that is not there is an error of the input" {
  run -1 --separate-stderr aq check absent.yaml
  has "$stderr" "absent.yaml"
}

@test "hostile file names do not reach the terminal raw" {
  run -1 --separate-stderr aq check $'\033[2Jx.yaml'
  lacks "$stderr" $'\033'
}

@test "an empty cache is no error, and the line says what to do" {
  run -0 --separate-stderr aq list
  has "$output" "aq build FILE"
  run -0 aq list --json
  jq -e '.environments == []' <<<"$output"
}

@test "show of what is not there is 4" {
  run -4 --separate-stderr aq show abcd
  run -0 --separate-stderr aq build req.yaml
  run -4 --separate-stderr aq show abcd1
  has "$stderr" "'abcd1' is no environment"
  run -4 --separate-stderr aq show absent.yaml
  request "refuse"
  run -4 --separate-stderr aq show req.yaml
  has "$stderr" "has no environment yet"
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

@test "list and show tell the same of an environment" {
  aq build req.yaml
  run -0 aq list
  has "${lines[0]}" "NAME"
  has "${lines[1]}" "created   3.9.6          2 2.5 MB    0 B     0    0 "
  name=$(aq list --json | jq -r '.environments[0].name')
  key=$(aq build --json req.yaml | jq -r .key)
  by_name=$(aq show --json "$name")
  jq -e --arg key "$key" '.schema == 1 and .key == $key and
    (.packages | map(.name) == ["demo", "w"]) and
    (.activation[0] | .do == "prepend" and .name == "PATH")' <<<"$by_name"
  for what in "${name:0:4}" "$key" req.yaml; do
    [[ $(aq show --json "$what") == "$by_name" ]]
  done
  run -0 aq show req.yaml
  has "$output" "packages    demo 1.0"
  has "$output" "key         $key"
  [[ $(jq '.package_count == (.packages | length)' <<<"$by_name") == true ]]
}

@test "list is sorted as asked, in text and JSON, and marks what is marked" {
  three
  order() { aq list --json "$@" | jq -r '.environments[].name' | while read -r n; do
    for i in 0 1 2; do [[ ${NAMES[i]} != "$n" ]] || printf %s "$i"; done; done; }
  [[ $(order) == 012 && $(order --sort name) == 012 && $(order --reverse) == 210 ]]
  [[ $(order --sort own) == 210 && $(order --sort own --reverse) == 012 ]]
  [[ $(order --sort size) == 012 && $(order --sort size --reverse) == 210 ]]
  [[ $(order --sort uses) == 012 && $(order --sort uses --reverse) == 012 ]]
  [[ $(order --sort used) == 210 && $(order --sort created) == 012 ]]
  run -0 aq list --sort own
  [[ ${lines[1]} == "${NAMES[2]} "* && ${lines[2]} == *" obsolete" && ${lines[3]} == *" pinned" ]]
  aq list --json | jq -e '[.environments[] | [.pinned, .obsolete, .current_base, .references, .children]]
    == [[true, false, false, 0, 0], [false, true, false, 0, 0], [false, false, false, 0, 0]]'
  run -0 aq show "${NAMES[0]}"
  has "$output" "marked      pinned"
}

@test "list on a terminal has the columns that fit, and no line is longer" {
  three
  for width in 80 100 120; do
    on_terminal bash -c "stty cols $width; aq list" >wide
    [[ $(tr -d '\r' <wide | sed 's/\x1b\[[0-9]*m//g' | wc -L) -le $width ]]
  done
  has "$(<wide)" "PACKAGES"
  lacks "$(on_terminal bash -c 'stty cols 99; aq list')" "PACKAGES"
}

@test "list --shared is what everybody may know of the node's cache" {
  run -0 --separate-stderr aq list --shared
  has "$output" "no public index yet"
  aq list --shared --json | jq -e '.environments == [] and .written == 0'
  [[ $EUID -eq 0 ]] || skip "only root writes the index"
  three
  [[ $(stat -c %a run-public/index) == 644 ]]
  aq list --shared --json | jq -e --arg a "${NAMES[0]}" '.written > 0 and (.environments | length == 3) and
    (.environments[0] | .name == $a and .pinned and .package_count == 2 and .size_own == 10 and has("uses") == false) and
    (.environments[1] | .base == "99999999999999999999-9" and .obsolete)'
  [[ $(aq list --shared --json --sort own | jq -r '.environments[0].name') == "${NAMES[2]}" ]]
  [[ $(aq list --shared --json --reverse | jq -r '.environments[0].name') == "${NAMES[2]}" ]]
  run -0 aq list --shared
  has "${lines[0]}" "BUILT"
  lacks "$output" "USES"
  run -1 --separate-stderr aq list --shared --sort uses
  has "$stderr" "does not tell uses"
  # what is collected goes from it
  aq unpin "${NAMES[0]}"
  printf 'max_size = 1\ngrace = 0\nmax_age = 0\n' >>aq.conf
  aq gc
  aq list --shared --json | jq -e '.environments == []'
  echo x >>run-public/index
  run -3 --separate-stderr aq list --shared
  has "$stderr" "damaged"
}

@test "show --lock prints a file that conda clients take, and check too" {
  aq build req.yaml
  sum=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  run -0 --separate-stderr aq show --lock req.yaml
  [[ -z $stderr ]]
  diff - <(echo "$output") <<LOCK
# This file may be used to create an environment using:
# \$ conda create --name <env> --file <this file>
# platform: $(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m | sed 's/x86_64/64/')
@EXPLICIT
https://conda.example.org/noarch/demo-1.0-0.conda#sha256:$sum
# pip w @ https://pypi.example.org/w-2-py3-none-any.whl#sha256=$sum
LOCK
  name=$(aq list --json | jq -r '.environments[0].name')
  [[ $(aq show "${name:0:6}" --lock) == "$output" ]]
  run -4 --separate-stderr aq show --lock absent.yaml
  [[ -z $output ]]
}

@test "show --lock of what inherits has its base's packages too" {
  aq build req.yaml
  cp req.yaml base.yaml
  base=$(aq build --json base.yaml | jq -r .lock)
  request "inherit:$base"
  sed -i 's/numpy >= 2/scipy/' req.yaml # packages of its own: another key
  aq build req.yaml
  run -0 --separate-stderr aq show --lock req.yaml
  has "$output" "https://pypi.example.org/x-1-py3-none-any.whl"
  [[ $(grep -c /demo-1.0-0.conda <<<"$output") == 1 ]]
  [[ $(grep -c '^# pip w ' <<<"$output") == 1 ]]
  # without what the base has, nothing is printed
  name=$(aq show --json base.yaml | jq -r .name)
  cache=$(dirname "$(dirname "$(aq show --json base.yaml | jq -r .prefix)")")
  mv "$cache/meta/$name" away
  run --separate-stderr aq show --lock req.yaml
  [[ $status -ne 0 && -z $output ]]
}

@test "show --lock of what cannot be read prints nothing" {
  aq build req.yaml
  cache=$(dirname "$(dirname "$(aq show --json req.yaml | jq -r .prefix)")")
  rm "$cache"/meta/*/lock
  run -3 --separate-stderr aq show --lock req.yaml
  has "$stderr" "aq: "
  [[ -z $output ]]
}

@test "a lock file is a request, with every error in its place" {
  sum=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  channel=https://conda.example.org/conda-forge
  printf '%s\n' '# a comment' @EXPLICIT "$channel/noarch/demo-1.0-0.conda#sha256:$sum" \
    "# pip w @ https://pypi.example.org/w-2-py3-none-any.whl#sha256=$sum" >lock.txt
  run -0 --separate-stderr aq check lock.txt
  has "$output" "channels    conda-forge"
  has "$output" "conda       conda-forge/noarch::demo ==1.0 0[sha256=$sum]"
  has "$output" "pip         w==2"
  [[ -z $stderr ]]
  run -0 --separate-stderr aq check - <lock.txt
  printf '%s\n' "$channel/noarch/a-1-0.conda" "  https://other.example.org/x/noarch/b-1-0.conda#$sum" >>lock.txt
  run -1 --separate-stderr aq check lock.txt
  has "$stderr" "lock.txt:5:$((${#channel} + 20)): nothing where the package's SHA-256 belongs"
  has "$stderr" $'\nlock.txt:6:3: channel \'https://other.example.org/x\' is not in the administrator'
  [[ -z $output ]]
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
  has "$stderr" "aq.conf:4"
  run -125 --separate-stderr aq run req.yaml -- true
}

@test "an unknown key of aq.conf is a warning" {
  echo 'colour = blue' >>aq.conf
  run -0 --separate-stderr aq list
  has "$stderr" "aq.conf:4: unknown key 'colour'"
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
