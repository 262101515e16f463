#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# aq as people and programs use it, with a stand-in for aq-builder; no Slurm, no
# packages, no root needed (as root it is the node's cache that is used).

bats_require_minimum_version 1.5.0

setup() {
  BUILD=${AQ_BUILDDIR:?make check says where}
  PATH=$BUILD:$PATH
  cd "$BATS_TEST_TMPDIR" || exit
  unset NO_COLOR AQ_UNDO VIRTUAL_ENV CONDA_PREFIX
  export HOME=$PWD/home XDG_CACHE_HOME='' TERM=xterm
  export AQ_CONF=$PWD/aq.conf AQ_BUILDER=$BUILD/tests/cli/stand-in
  mkdir home
  cat >aq.conf <<CONF
cache_dir = $PWD/lib
run_dir = $PWD/run
channels = conda-forge=https://conda.example.org/conda-forge
CONF
  request ok
}

# request BEHAVIOUR: req.yaml, which makes the stand-in behave like that
request() {
  cat >req.yaml <<YAML
channels: [conda-forge]
dependencies: [numpy >= 2, python=3.9, {pip: [Demo_Pkg==1.0]}]
variables: {BEHAVE: "$1", OMP_NUM_THREADS: "4"}
YAML
}

has() {
  [[ $1 == *"$2"* ]] || { printf 'expected: %s\nin: %s\n' "$2" "$1" >&2; return 1; }
}

lacks() {
  [[ $1 != *"$2"* ]] || { printf 'unexpected: %s\nin: %s\n' "$2" "$1" >&2; return 1; }
}

# on_terminal COMMAND...: with a terminal as its standard streams; prints what
# it got
on_terminal() {
  local quoted
  printf -v quoted '%q ' "$@"
  script --quiet --return --command "$quoted" /dev/null </dev/null
}

wait_for() {
  local i
  for ((i = 0; i < 3000; i++)); do
    ! "$@" 2>/dev/null || return 0
    sleep 0.01
  done
  echo "waited in vain for: $*" >&2
  return 1
}

@test "help names every verb and goes to standard output" {
  run -0 --separate-stderr aq --help
  for verb in check build explain base list show pin unpin gc doctor stats verify workflow run; do
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
    "verify a b" "gc --contents" "list --repair"; do
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

# three NAME...: environments of three sizes and ages, sorted by name in NAMES;
# the first is pinned, and the second inherits from none that is a base
three() {
  local i
  for i in scipy pandas flask; do
    request ok
    sed -i "s/numpy >= 2/$i/" req.yaml
    aq build req.yaml
  done
  mapfile -t NAMES < <(aq list --json | jq -r '.environments[].name')
  python3 - "$(aq list --json | jq -r .cache_dir)/cache.db" "${NAMES[@]}" <<'PY'
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
for i, name in enumerate(sys.argv[2:]):
    db.execute("UPDATE environments SET size_own = ?, size_shared = ?, uses = ?, last_used = ?,"
               " created = ? WHERE name = ?", ((i + 1) * 10, 100 - i * 40, 5, int(time.time()) - 86400 * (300 - i), 2000 - i, name))
db.execute("UPDATE environments SET base = 'gone' WHERE name = ?", (sys.argv[3],))
db.commit()
PY
  aq pin "${NAMES[0]}"
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
    (.environments[1] | .base == "gone" and .obsolete)'
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

@test "doctor says what is wrong and what to do, in text and JSON" {
  echo 'chanels = x' >>aq.conf
  run -3 --separate-stderr aq doctor
  has "$output" "aq.conf:4: unknown key 'chanels'"
  has "$output" "-> write 'channels'"
  has "${lines[-1]}" " errors, "
  run -3 --separate-stderr aq doctor --json
  jq -e '.schema == 1 and .errors > 0 and ([.findings[] | select(.level == "error")] | length) == .errors
    and ([.findings[] | select(.level == "warning")] | length) == .warnings
    and (.findings | map(select(.level != "ok")) | all(.remedy != null))' <<<"$output"
  # even where no other verb starts
  echo 'failure_ttl = soon' >aq.conf
  run -3 --separate-stderr aq doctor
  has "$output" "aq.conf:1"
  has "$output" "aq.conf cannot be read"
}

@test "gc and pin in a cache of one's own, in text and JSON" {
  aq build req.yaml
  name=$(aq list --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["environments"][0]["name"])')
  run -4 --separate-stderr aq pin 0123456789abcdef0123-1
  has "$stderr" "0123456789abcdef0123-1"
  echo "max_age = 0" >>aq.conf # the stand-in's are old
  run -0 aq gc
  has "$output" "0 environments collected"
  printf 'max_size = 1\ngrace = 0\n' >>aq.conf
  run -0 aq pin "$name"
  has "$output" "$name is pinned"
  run -0 aq gc
  has "$output" "0 environments collected"
  has "$output" "max_size and min_free ask for"
  # the pin outlives the database
  cache=$(aq list --json | jq -r .cache_dir)
  rm "$cache/cache.db"
  aq gc
  run -0 aq list --json
  has "$output" '"pinned": true'
  aq unpin "$name"
  run -0 --separate-stderr aq gc --dry-run --json
  [[ $(python3 -c 'import json,sys; a = json.loads(sys.argv[1]); print(a["schema"], a["dry_run"], [(v["name"], v["reason"]) for v in a["collected"]])' "$output") == "1 True [('$name', 'room')]" ]]
  run -0 aq gc --max-freed 0
  has "$output" "0 environments collected"
  run -0 aq gc
  has "$output" "$name"
  has "$output" "1 environments collected"
  [[ -z $(ls -A "$cache/envs") && -z $(ls "$cache/trash") && -z $(ls -A "$cache/meta") ]]
  aq build req.yaml
  aq gc
}

@test "stats of nothing is zeros, and makes nothing" {
  run -0 --separate-stderr aq stats
  has "$output" "look-ups      0"
  has "$output" "environments  0"
  has "$output" "last: never"
  [[ -z $stderr && ! -e lib && ! -e home/.cache ]]
}

@test "stats in text and JSON: hits, what they saved, what there is, a collection" {
  aq build req.yaml # the stand-in counts nothing: 1.5 s, 2.5 MB
  aq run req.yaml -- true
  aq run req.yaml -- true
  for moved in false true; do
    run -0 aq stats
    has "$output" "look-ups      2, 2 hits (100 %)"
    has "$output" "saved         3.0 s and 5.0 MB by reuse"
    lacks "$output" "inheritance"
    has "$output" "environments  1, 1 created; 0 pinned"
    has "$output" "2.5 MB of their own"
    jq -e '.schema == 1 and .counts.hit == 2 and .counts.reuse_ms == 3000 and .counts.reuse_bytes == 5000000
      and .counts.refused == 0 and .environments.created == {n: 1, size_own: 2500000, size_shared: 0}
      and .free > 0 and .since > 1000000000' <<<"$(aq stats --json)"
    [[ $(aq stats --json | jq '.last_collection > 0') == "$moved" ]]
    echo "max_age = 0" >>aq.conf # the stand-in's are old
    aq gc >/dev/null
  done
  # explain, show and list look nothing up that would be used
  aq explain req.yaml && aq show req.yaml && aq list
  jq -e '.counts.hit == 2' <<<"$(aq stats --json)"
}

@test "stats --prometheus has lines of its format only, and a type for each" {
  run -0 --separate-stderr aq stats --prometheus
  text=$output
  run -1 grep -vE '^(# (HELP aq_[a-z_]+ .+|TYPE aq_[a-z_]+ (counter|gauge))|aq_[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? [0-9.]+)$' <<<"$text"
  [[ $(sed -n 's/^aq_\([a-z_]*\).*/\1/p' <<<"$text" | sort -u) == "$(sed -n 's/^# TYPE aq_\([a-z_]*\) .*/\1/p' <<<"$text" | sort)" ]]
  # counters, and nothing else, are called totals
  [[ $(sed -n 's/^# TYPE \(aq_[a-z_]*_total\) .*/\1/p' <<<"$text") == "$(sed -n 's/^# TYPE \(.*\) counter$/\1/p' <<<"$text")" ]]
}

@test "stats --output replaces the file at once, whoever reads it" {
  umask 077
  mkdir out
  echo old >out/aq.prom
  exec 9<out/aq.prom
  run -0 --separate-stderr aq stats --prometheus --output out/aq.prom
  [[ -z $output && -z $stderr && $(cat <&9) == old ]]
  [[ $(ls -A out) == aq.prom && $(stat -c %a out/aq.prom) == 644 ]]
  has "$(<out/aq.prom)" 'aq_lookups_total{outcome="hit"} 0'
  cd out
  aq stats --json --output here.json
  jq -e .schema here.json
  # and leaves nothing where it cannot
  mkdir directory
  run -3 --separate-stderr aq stats --output directory
  has "$stderr" "cannot write 'directory'"
  run -3 --separate-stderr aq stats --output absent/aq.prom
  has "$stderr" "absent/aq.prom"
  [[ -z $(ls -A directory) && $(ls -A) == $'aq.prom\ndirectory\nhere.json' ]]
}

@test "AQ_VERBOSE says which environment was found" {
  AQ_VERBOSE=1 run -0 --separate-stderr aq run req.yaml -- true
  lacks "$stderr" reused
  AQ_VERBOSE=1 run -0 --separate-stderr aq run req.yaml -- true
  [[ $stderr =~ ^aq:\ reused\ [0-9a-f]{20}-1\ \(created\),\ found\ in\ [0-9.]+\ ms$ ]]
  AQ_VERBOSE=0 run -0 --separate-stderr aq run req.yaml -- true
  [[ -z $stderr ]]
}

# sealed: build one that verifies, its name in $name, its prefix in $prefix.
sealed() {
  request seal
  sed -i "s/numpy >= 2/numpy >= ${1-2}/" req.yaml
  prefix=$(aq build req.yaml --json 2>/dev/null | jq -r .prefix)
  name=${prefix##*/}
}

# cache: where it is.
cache() { dirname "$(dirname "$prefix")"; }

@test "verify says that all is well, and what is not, in text and JSON" {
  local other
  run -0 aq verify # of no cache
  sealed 1
  other=$name
  sealed
  run -0 --separate-stderr aq verify
  [[ $output == "2 environments, all of them are as their rows say" && -z $stderr ]]
  run -0 --separate-stderr aq verify --json
  jq -e '.schema == 1 and .findings == [] and .contents == false and .environments == 2
    and .left == 0 and .trash == 0 and .half_built == 0' <<<"$output"
  chmod 644 "$prefix/bin/hello"
  run -3 --separate-stderr aq verify
  [[ ${lines[0]} == "$name: 'bin/hello' has mode 0644, not 0444" ]]
  [[ ${lines[1]} == "2 environments, 1 findings, 0 repaired" ]]
  run -3 --separate-stderr aq verify --json "${name:0:8}"
  jq -e --arg name "$name" '.environments == 1 and .left == 1 and (.findings | length) == 1
    and (.findings[0] | .env == $name and .finding == "seal" and .path == "bin/hello"
      and .package == null and .repaired == false and .not_repaired == null)' <<<"$output"
  run -0 aq verify "$other"
  run -4 --separate-stderr aq verify 0123456789abcdef0123-1
  has "$stderr" "no environment is named"
}

@test "verify --contents names package and file, and no control characters" {
  sealed
  # the stand-in installs no package
  run -3 aq verify --contents
  has "$output" "$name: package 'demo' has no record, which its lock has"
  chmod u+w "$prefix/bin"
  touch "$prefix/bin/"$'a\n\033[2Jb'
  chmod 444 "$prefix/bin/"$'a\n\033[2Jb'
  chmod 555 "$prefix/bin"
  run -3 aq verify --contents
  lacks "$output" $'\033'
  has "$output" "$name: 'bin/a\\x0a\\x1b[2Jb' is of no package"
  run -3 --separate-stderr aq verify --contents --json
  jq -e '[.findings[].path] | contains(["bin/a\n\u001b[2Jb"])' <<<"$output"
}

@test "verify --repair leaves what is used, and tells so" {
  local run_dir=run
  sealed
  chmod 644 "$prefix/bin/hello"
  rm -r "$(cache)/meta/$name"
  [[ -d $run_dir ]] || run_dir=$(cache)/run
  exec 8>"$run_dir/locks/hold-$name"
  flock -s 8
  run -3 --separate-stderr aq verify --repair
  has "$output" "it has no manifest in meta/; not repaired: "
  has "$output" "1 environments, 2 findings, 0 repaired"
  [[ -d $prefix ]]
  exec 8>&-
}

@test "verify --repair adopts, drops, and sets a damaged database aside" {
  local cache
  sealed
  cache=$(cache)
  dd if=/dev/urandom of="$cache/cache.db" bs=1 seek=4096 count=2000 conv=notrunc 2>/dev/null
  run -3 --separate-stderr aq verify
  has "$output" "cache.db is damaged: "
  has "$output" " findings, 0 repaired"
  [[ ! -e $cache/cache.db.corrupt-1 ]]
  run -0 --separate-stderr aq verify --repair
  has "$output" "1 findings, 1 repaired"
  [[ -e $cache/cache.db.corrupt-1 ]]
  run -0 aq verify
  mkdir "$cache/envs/0123456789abcdef0123-1"
  run -3 aq verify
  has "$output" "0123456789abcdef0123-1: 'envs/0123456789abcdef0123-1' is there without a row and without a manifest"
  run -0 aq verify --repair
  [[ ! -e $cache/envs/0123456789abcdef0123-1 && -d $prefix ]]
  run -0 aq verify
  has "$output" "1 in trash/ and 0 half built wait to be removed"
}

@test "gc takes what is over a user's quota, and says so" {
  request for:1234
  aq build req.yaml
  name=$(aq list --json | jq -r '.environments[0] | select(.uid == 1234) | .name')
  printf 'max_age = 0\ngrace = 0\nuser_quota = 2500000\n' >>aq.conf
  run -0 aq gc
  has "$output" "0 environments collected"
  sed -i 's/^user_quota.*/user_quota = 2M/' aq.conf
  run -0 aq gc --dry-run
  has "$output" "$name"
  has "$output" " quota "
  aq pin "$name"
  run -0 aq gc
  has "$output" "0 environments collected"
  aq unpin "$name"
  run -0 aq gc --json
  jq -e '.collected[0].reason == "quota"' <<<"$output"
}

# rows SQL...: into the cache's database
rows() {
  python3 - lib/cache.db "$@" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for sql in sys.argv[2:]:
    db.execute(sql)
db.commit()
PY
}

@test "a node without workflows, and names that are none" {
  run -0 --separate-stderr aq workflow list
  [[ $output == "no workflows on this node" ]]
  run -0 --separate-stderr aq workflow list --json
  jq -e '.schema == 1 and .workflows == []' <<<"$output"
  run -4 --separate-stderr aq workflow show flow
  has "$stderr" "there is no workflow 'flow' on this node"
  run -1 --separate-stderr aq workflow remove "a b"
  has "$stderr" "'a b' is no name of a workflow"
  [[ ! -e lib && ! -e run ]]
}

@test "root lists, shows and removes the workflows of the node" {
  ((EUID == 0)) || skip "the node's cache is root's"
  aq build req.yaml
  key=$(aq show --json req.yaml | jq -r .key)
  digest=$(aq show --json req.yaml | jq -r .digest)
  name=$(aq show --json req.yaml | jq -r .name)
  none=$(printf '0%.0s' {1..64})
  rows "INSERT INTO workflows VALUES(0, 'flow', '$key', '$digest', 1700000000123456789)" \
    "INSERT INTO workflows VALUES(4000000000, 'flow', '$none', '$none', 1700000000000000000)" \
    "INSERT INTO workflows VALUES(4000000000, 'old', '', '', 5)"
  run -0 --separate-stderr aq workflow list
  has "${lines[0]}" "NAME"
  has "${lines[1]}" "flow                 root         $name     ${key:0:12} ready"
  has "${lines[2]}" "flow                 4000000000   -                          000000000000 gone"
  [[ ${#lines[@]} == 3 ]]
  run -0 --separate-stderr aq workflow list --json --user root
  jq -e --arg name "$name" --arg key "$key" --arg digest "$digest" '.schema == 1 and .workflows ==
    [{name: "flow", user: "root", uid: 0, environment: $name, key: $key, digest: $digest,
      submitted: 1700000000, state: "ready"}]' <<<"$output"
  run -1 --separate-stderr aq workflow show flow
  has "$stderr" "several users have a workflow 'flow'"
  run -1 --separate-stderr aq workflow show flow --user no-such-account
  has "$stderr" "no account 'no-such-account'"
  run -0 --separate-stderr aq workflow show flow --user 0
  has "$output" "environment $name"
  has "$output" "request     aq-request"
  run -0 --separate-stderr aq workflow show flow --user 4000000000 --json
  jq -e '.schema == 1 and .environment == null and .state == "gone" and .request == null' <<<"$output"
  [[ $(aq workflow show flow --user root --json | jq -r .request) == "$(aq show --json req.yaml | jq -r .request)" ]]
  run -4 --separate-stderr aq workflow show old
  run -1 --separate-stderr aq workflow remove flow
  run -0 --separate-stderr aq workflow remove flow --user root --json
  jq -e '.schema == 1 and (.nodes | length == 1 and .[0].removed)' <<<"$output"
  run -4 --separate-stderr aq workflow remove flow --user root
  run -0 --separate-stderr aq workflow remove flow
  has "$output" ": removed"
  run -2 --separate-stderr aq workflow remove flow --nodes n1
}

@test "others remove theirs by a job on each node" {
  local other=(env)
  if ((EUID == 0)); then # somebody else, where they may be
    cd "$(mktemp -d /tmp/aq-others.XXXXXX)" || return
    other=(setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$PWD" AQ_CONF="$PWD/aq.conf")
    cp "$AQ_CONF" .
    chown 65534:65534 .
    "${other[@]}" test -x "$BUILD/aq"
  fi
  mkdir bin
  cat >bin/sinfo <<'SH'
#!/bin/sh
cd "${0%/*}/.." || exit
echo "$*" >>asked
printf '%s\n' 'n1 debug up' 'n1 other up' 'n2 off down' 'n2 long up' 'n3 off down'
SH
  cat >bin/srun <<'SH'
#!/bin/sh
cd "${0%/*}/.." || exit
echo "$*" >>asked
env | grep '^SLURM_' >>variables
case $* in *"--nodelist n2 "*) echo "srun: error: no" >&2; exit 1 ;; esac
SH
  chmod -R a+rX bin && chmod 755 bin bin/*
  with=$PWD/bin:$PATH
  run -3 --separate-stderr "${other[@]}" PATH="$with" SLURM_CONF=/etc/x SLURM_JOB_ID=5 aq workflow remove flow
  [[ $output == $'n1: removed\nn2: not removed' ]]
  has "$stderr" "srun: error: no"
  has "$(<asked)" "--nodelist n1 --partition debug --aq-workflow flow --aq-workflow-remove true"
  has "$(<asked)" "--nodelist n2 --partition long --aq-workflow flow --aq-workflow-remove true"
  [[ $(wc -l <asked) == 3 && $(sort -u variables) == SLURM_CONF=/etc/x ]]
  has "$(head -n 1 asked)" "--responding"
  run -3 --separate-stderr "${other[@]}" PATH="$with" aq workflow remove flow --json --nodes n[1-2]
  jq -e '.schema == 1 and .nodes == [{node: "n1", removed: true}, {node: "n2", removed: false}]' <<<"$output"
  has "$(tail -n 3 asked)" "--nodes=n[1-2]"
  printf '#!/bin/sh\nexit 1\n' >bin/sinfo
  run -3 --separate-stderr "${other[@]}" PATH="$with" aq workflow remove flow
  has "$stderr" "'sinfo' failed"
  rm bin/s*
  run -3 --separate-stderr "${other[@]}" PATH="$PWD/bin" "$BUILD/aq" workflow remove flow
  has "$stderr" "'sinfo' is not there"
  ((EUID != 0)) || rm -r "$PWD"
}

@test "gc --wait collects after another collector, and one that waits is enough" {
  aq build req.yaml >/dev/null
  locks=$(find "$PWD" -type d -path '*/run/locks')
  exec 8>"$locks/collect"
  flock 8
  aq gc --wait >waited 8>&- 3>&- &
  wait_for is_locked "$locks/collect-next"
  run -0 --separate-stderr aq gc --wait
  has "$stderr" "somebody collects already"
  run -0 --separate-stderr aq gc
  has "$stderr" "somebody collects already"
  [[ ! -s waited ]]
  exec 8>&-
  wait $!
  has "$(<waited)" "environments collected"
}
# is_locked FILE: without locking it for a moment oneself.
is_locked() { [[ -e $1 ]] && grep -q ":$(stat -c %i "$1") " /proc/locks; }

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

# say VERB [ARGUMENT...]: "VERB<tab>what it prints with --json", in one line
say() {
  printf '%s\t' "$1"
  shift
  aq "$@" --json | jq -c .
}

# workflow_of NAME: 'flow' asks for that environment, 'gone' for none.
workflow_of() {
  local key none
  key=$(aq show --json "$1" | jq -r .key)
  none=$(printf '0%.0s' {1..64})
  if ((EUID == 0)); then
    rows "INSERT INTO workflows SELECT 0, 'flow', key, digest, 5 FROM requests WHERE key = '$key' LIMIT 1" \
      "INSERT INTO workflows VALUES(0, 'gone', '$none', '$none', 5)"
    return
  fi
  mkdir -p run-public/workflows bin
  printf '%s\n' "aq-workflows 1" "workflow flow 5 $key $none $1" " aq-request 1" "workflow gone 5 $none $none -" \
    >"run-public/workflows/$EUID"
  printf '#!/bin/sh\necho n1 debug up\n' >bin/sinfo
  printf '#!/bin/sh\n' >bin/srun
  chmod 755 bin/*
  PATH=$PWD/bin:$PATH
}

@test "docs/json.md has every member of every verb's output, and no other" {
  local top name verb
  top=$(dirname "$BATS_TEST_FILENAME")/../..
  three
  name=${NAMES[0]}
  {
    printf '%s\n' 'channels: [conda-forge]' 'platforms: [linux-64]' \
      'dependencies: [numpy, python=3.9, {pip: [a, -c constraints.txt]}]' 'variables: {A: b}' >full.yaml
    echo 'x<3' >constraints.txt
    say check check full.yaml
    echo 'dependencies: [numpy]' >least.yaml
    say check check least.yaml
    request again
    say build build req.yaml
    say build build req.yaml
    say explain explain req.yaml
    sed -i 's/flask/django/' req.yaml
    say explain explain req.yaml
    python3 - lib/cache.db home/.cache/slurm-aq/cache.db "$name" "${NAMES[2]}" <<'PY'
import os, sqlite3, sys
db = sqlite3.connect(next(path for path in sys.argv[1:3] if os.path.exists(path)))
db.execute("INSERT INTO bases VALUES('3.9', ?)", (sys.argv[3],))
db.execute("UPDATE environments SET base = ?, reason = 'of a test' WHERE name = ?", sys.argv[3:5])
db.commit()
PY
    say list list
    [[ $EUID -ne 0 ]] || aq unpin "$name" >/dev/null # writes the index
    say "list --shared" list --shared
    echo "max_age = 0" >>aq.conf
    aq gc >/dev/null # makes the table of references
    python3 - run/refs.db home/.cache/slurm-aq/run/refs.db "${NAMES[2]}" <<'PY'
import os, sqlite3, sys
db = sqlite3.connect(next(path for path in sys.argv[1:3] if os.path.exists(path)))
for step in (0, 0xfffffffb):
    db.execute("INSERT INTO refs VALUES(7, ?, 4294967295, 'n1', ?, ?)", (step, "0" * 64, sys.argv[3]))
db.commit()
PY
    # a job as a whole holds what serves its request, whichever that is
    run_dir=run
    [[ $EUID -eq 0 ]] || run_dir=home/.cache/slurm-aq/run
    echo "holds $(</proc/sys/kernel/random/boot_id) $(aq show "${NAMES[2]}" --json | jq -r .digest)" >"$run_dir/jobs/8.n1"
    chmod 600 "$run_dir/jobs/8.n1"
    aq show "${NAMES[2]}" --json | jq -e '.references == 3 and .held_by == [
      {"job": 7, "step": "0", "node": "n1", "by_request": false},
      {"job": 7, "step": "batch", "node": "n1", "by_request": false},
      {"job": 8, "step": null, "node": "n1", "by_request": true}]' >&2
    say show show "$name"
    say show show "${NAMES[2]}"
    printf 'max_size = 1\ngrace = 0\n' >>aq.conf
    say gc gc --dry-run
    say "base list" base list
    say doctor doctor
    say stats stats
    say verify verify
    workflow_of "$name"
    say "workflow list" workflow list
    say "workflow show" workflow show flow
    say "workflow show" workflow show gone
    say "workflow remove" workflow remove flow
  } >printed
  python3 "$(dirname "$BATS_TEST_FILENAME")/json_doc.py" "$top/docs/json.md" <printed
  # each verb that has --json has a table
  for verb in $(aq --help | sed -n 's/^  \([a-z]\+\) .*/\1/p'); do
    ! aq "$verb" --help | grep -q -- '--json' || grep -q "^## $verb" "$top/docs/json.md"
  done
}
