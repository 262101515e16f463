#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Collecting on a real cluster: what jobs use stays, what nobody needs goes.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

setup_file() {
  it_up
  it_wheels
  for i in 1 2 3 4; do it_wheel "aq-gc-$i" 1.0 --file "aq_gc_$i.py=N = $i"; done
  it_limits "max_age = 0" "min_free = 0"
  base old python=3.9 pip
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_limits "max_age = 0" "min_free = 0"
  CACHE=$(it_cache n1)
}
teardown() { it_end; }

# base NAME SPEC...: make it n1's base of Python 3.9.
base() {
  local name=$1
  shift
  printf 'channels: [conda-forge]\ndependencies:\n' >"$IT_SUBMIT/base-$name.yaml"
  printf -- '- %s\n' "$@" >>"$IT_SUBMIT/base-$name.yaml"
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base-$name.yaml" >/dev/null
}

# asks N: a layer with wheel N.
asks() { it_file "gc-$1.yaml" <<<"{dependencies: [python=3.9, {pip: [aq-gc-$1]}]}"; }

# named PREFIX: whether it is there as its row, its manifest, its files.
named() {
  [[ -d $CACHE/envs/$1 && -d $CACHE/meta/$1 ]] && aq --node n1 list | grep -q "^$1"
}
gone() {
  [[ ! -e $CACHE/envs/$1 && ! -e $CACHE/meta/$1 && ! -e $CACHE/trash/$1 ]] && ! aq --node n1 list | grep -q "^$1"
}

build() { basename "$(aq --node n1 build --json "$1" 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["prefix"])')"; }

gc() { it_gc n1 "$@"; }

@test "nothing asks for room: nothing goes" {
  local one
  one=$(build "$(asks 1)")
  gc
  named "$one"
}

@test "room: least lately used first, by what jobs used; a dry run does nothing" {
  local one two
  one=$(build "$(asks 1)")
  two=$(build "$(asks 2)")
  # what srun uses counts, without its start having written to the cache; last
  # use is in seconds
  sleep 1.1
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 1)" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  it_begin
  it_limits "max_size = 1" "grace = 0" "min_free = 0" "max_age = 0"
  run -0 --separate-stderr gc --dry-run --json
  assert_equal "$(python3 -c 'import json,sys; print([v["name"] for v in json.loads(sys.argv[1])["collected"]])' "$output")" "['$two', '$one']"
  assert_equal "$(aq --node n1 list --json | python3 -c 'import json,sys; print({e["name"]: e["uses"] for e in json.load(sys.stdin)["environments"]}[sys.argv[1]])' "$one")" 1
  named "$one" && named "$two"
  aq --node n1 pin "$one"
  run -0 --separate-stderr gc
  assert_contains "$output" "1 environments collected"
  named "$one"
  gone "$two"
  aq --node n1 unpin "$one"
  gc
  gone "$one"
}

# on_disk: bytes of environments and caches, what has several names once.
on_disk() { du -cs --block-size=1 "$CACHE/envs" "$CACHE/work" | tail -1 | cut -f1; }
frees() { python3 -c 'import json,sys; print(json.load(sys.stdin)["freed"])'; }

@test "what it says it frees is what du finds" {
  local before after freed
  it_limits "max_size = 1" "grace = 0" "min_free = 0" "max_age = 0"
  aq --node n1 build "$(asks 3)" >/dev/null 2>&1
  aq --node n1 build "$(asks 4)" >/dev/null 2>&1
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  # the caches stay: what is shared with them is not freed
  exec 9>"$IT_DIR/nodes/n1/run/locks/caches"
  flock -s 9
  before=$(on_disk)
  freed=$(gc --json --dry-run | frees)
  assert_equal "$(gc --json | frees)" "$freed"
  after=$(on_disk)
  exec 9>&-
  [[ $freed -gt 0 ]]
  assert_equal "$((before - after))" "$freed"
}

# blocks PREFIX: "own shared" of the files below it, as du and stat count them: what has
# all its names there is its own.
blocks() {
  python3 - "$1" <<'PY'
import os, sys
own = shared = 0
seen = {}
for top, dirs, files in os.walk(sys.argv[1]):
    for name in [""] + files + [d for d in dirs if os.path.islink(os.path.join(top, d))]:
        s = os.lstat(os.path.join(top, name) if name else top)
        if name and s.st_nlink > 1:
            seen.setdefault(s.st_ino, [s, 0])[1] += 1
        else:
            own += s.st_blocks * 512
for s, n in seen.values():
    if n == s.st_nlink:
        own += s.st_blocks * 512
    else:
        shared += s.st_blocks * 512
print(own, shared)
PY
}

@test "sizes are du's to the byte: created, linked, inherited and a base" {
  local name kind kinds
  aq --node n1 build --isolated "$(asks 1)"
  aq --node n1 build "$(it_file linked.yaml <<<'{dependencies: [python=3.9, pip, six]}')"
  aq --node n1 build "$(asks 2)"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  while read -r name kind; do
    kinds+="$kind "
    read -r own shared < <(blocks "$CACHE/envs/$name")
    # alone it is what du says, at the moment: links in the cache come and go
    assert_equal "$name $((own + shared))" "$name $(du -s --block-size=1 "$CACHE/envs/$name" | cut -f1)"
    assert_equal "$name $(aq --node n1 show --json "$name" | python3 -c 'import json,sys; e=json.load(sys.stdin); print(e["size_own"], e["size_shared"])')" "$name $own $shared"
  done < <(aq --node n1 list --json | python3 -c 'import json,sys
for e in json.load(sys.stdin)["environments"]: print(e["name"], e["kind"])')
  assert_equal "$(tr ' ' '\n' <<<"$kinds" | sort -u | tr '\n' ' ')" " base created inherited linked "
}

@test "a job's layer stays while its base is replaced; then both go" {
  local file layer old job
  file=$(asks 1)
  layer=$(build "$file")
  old=$(aq --node n1 show "$layer" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["base"])')
  job=$(it_submit -w n1 --aq-requirements="$file" --wrap "while [ ! -e $IT_SUBMIT/go ]; do sleep 0.1; done"'
    python -c "import sys, aq_gc_1, json, decimal; print(sys.prefix, aq_gc_1.N)"
    srun python -c "import aq_gc_1, email.mime.text; print(\"step\", aq_gc_1.N)"')
  wait_until "$IT_JOB_SECONDS" it_job_is RUNNING "$job"
  wait_until 30 it_holds n1 "$layer"
  base new python=3.9 pip numpy
  gc
  named "$layer" && named "$old"
  touch "$IT_SUBMIT/go"
  it_wait "$job"
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" "$layer 1"
  # the step that came later asked anew: from the new base
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" "step 1"
  it_begin
  gc
  gone "$layer"
  gone "$old"
  # and its cousin over the new base is there
  assert_equal "$(aq --node n1 list | grep -c inherited)" 1
}

@test "an epilog starts collecting when a limit is passed, and waits for nothing" {
  local one
  one=$(build "$(asks 4)")
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  it_limits "max_size = 1" "grace = 0" "min_free = 0" "max_age = 0"
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 4)" printenv AQ_ENV_PREFIX
  assert_equal "$output" "$CACHE/envs/$one"
  wait_until "$IT_JOB_SECONDS" gone "$one"
  wait_until "$IT_JOB_SECONDS" grep -q "$one" "$CACHE/logs/gc.log" # written at its end
}

@test "what a killed collector or builder left goes, what is whole is rebuilt" {
  local one two three
  one=$(build "$(asks 2)")
  two=$(build "$(asks 3)")
  three=$(build "$(asks 4)")
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  it_drop_row n1 "$one"
  it_drop_row n1 "$two"
  it_drop_row n1 "$three"
  rm -r "$CACHE/meta/$two"         # killed before it moved the files
  rm "$CACHE/meta/$three/manifest" # killed while it removed the manifest
  mkdir -p "$CACHE/work/pkgs/cache" "$CACHE/work/pkgs/lone-1.0-0/info" # an index, a package
  mkdir "$CACHE/trash/0123456789abcdef0123-1"
  echo x >"$CACHE/trash/0123456789abcdef0123-1/left"
  run -0 --separate-stderr gc
  assert_contains "$output" "3 that killed builds had left"
  gone "$one"
  gone "$two"
  gone "$three"
  [[ ! -e $CACHE/trash/0123456789abcdef0123-1 ]]
  [[ -d $CACHE/work/pkgs/cache && ! -e $CACHE/work/pkgs/lone-1.0-0 ]]
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 2)" printenv AQ_RESOLUTION
  assert_equal "$output" inherited
}

# Every row has its files and manifest.
rows_are_whole() {
  local name
  while read -r name _; do
    [[ -d $CACHE/envs/$name/bin && -s $CACHE/meta/$name/manifest ]] || { echo "$name is not whole" >&2; return 1; }
  done < <(aq --node n1 list | tail -n +2)
}

@test "a collector killed at any moment: what has a row is whole, the next one ends it" {
  local i round tries=${AQ_COUNT_GC_KILLS:-8} pid
  RANDOM=${AQ_SEED:-1}
  for ((round = 1; round <= tries; round++)); do
    it_limits "max_age = 0" "min_free = 0"
    for i in 1 2 3 4; do build "$(asks "$i")" >/dev/null; done
    wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
    it_limits "max_size = 1" "grace = 0" "min_free = 0" "max_age = 0"
    aq --node n1 gc >/dev/null 2>&1 3>&- &
    pid=$!
    sleep "0.0$((RANDOM % 8))" # it takes about that long
    kill -KILL "$pid" 2>/dev/null || :
    wait "$pid" || :
    rows_are_whole
  done
  gc
  assert_equal "$(aq --node n1 list | grep -c inherited)" 0
  assert_equal "$(find "$CACHE/envs" "$CACHE/meta" "$CACHE/trash" -mindepth 1 -maxdepth 1 ! -name '.*' ! -name 'base-*' | wc -l)" 2 # the base's
}

# compilers NAME: the pids of those who make its byte-code.
compilers() {
  local pid pids=()
  for pid in $(pgrep -u "$AQ_BUILDER_USER" -f -- "/bin/python -I -S -c"); do
    ! tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$CACHE/envs/$1" || pids+=("$pid")
  done
  ((${#pids[@]})) && echo "${pids[@]}"
}

@test "whose byte-code is being made stays until that is done" {
  local i one pids hold files=()
  for i in {1..12}; do files+=(--file "aq_long_$i.py=$(printf 'x = 1\n%.0s' {1..15000})"); done
  it_wheel aq-long 1.0 "${files[@]}"
  it_limits "max_size = 1" "grace = 0" "min_free = 0" "max_age = 0"
  one=$(build "$(it_file long.yaml <<<'{dependencies: [python=3.9, {pip: [aq-long]}]}')")
  # others' may be made first
  wait_until "$IT_BEHIND_SECONDS" compilers "$one"
  read -ra pids < <(compilers "$one")
  kill -STOP "${pids[@]}"
  it_gc_beside n1
  named "$one"
  # else who asks for it again would build below its name, and lose that to who compiles
  assert_equal "$(build "$IT_SUBMIT/long.yaml")" "$one"
  # as a build that inherits from it, which has it mounted there
  exec {hold}<"$IT_DIR/nodes/n1/run/locks/hold-$one"
  flock -s "$hold"
  kill -CONT "${pids[@]}"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  [[ -d $CACHE/work/envs/$one ]]
  exec {hold}<&-
  gc
  gone "$one"
  [[ ! -e $CACHE/work/envs/$one ]]
}

@test "jobs that Slurm does not know any more are forgotten when asked" {
  local one
  it_limits "max_size = 1" "grace = 0" "min_free = 0" "max_age = 0"
  one=$(build "$(asks 3)")
  # an epilog that never came
  it_leases n1 put 999999 n1 "$one"
  touch "$IT_DIR/nodes/n1/run/jobs/999999.n1"
  gc
  named "$one"
  # somebody still runs in it
  AQ_ENV_PREFIX=$CACHE/envs/$one sleep 30 3>&- &
  local pid=$!
  gc --reconcile
  named "$one"
  kill "$pid"
  wait "$pid" || :
  run -0 --separate-stderr gc --reconcile
  assert_contains "$output" "1 jobs that Slurm does not know"
  gone "$one"
}

# uid_of NAME: for whom it was built.
uid_of() { aq --node n1 show --json "$1" | it_number uid; }

@test "a user over user_quota pushes out their own, not somebody else's" {
  local theirs mine two size
  gc
  # root's are for everybody
  assert_equal "$(uid_of "$(build "$(asks 1)")")" 0
  run -0 --separate-stderr as_user -u "$AQ_OTHER_USER" srun -w n1 --aq-requirements="$(asks 2)" printenv AQ_ENV_PREFIX
  theirs=$(basename "$output")
  assert_equal "$(uid_of "$theirs")" "$(id -u "$AQ_OTHER_USER")"
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 3)" printenv AQ_ENV_PREFIX
  mine=$(basename "$output")
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 # byte-code counts
  size=$(aq --node n1 show --json "$mine" | it_number size_own)
  it_begin
  it_limits "max_age = 0" "min_free = 0" "grace = 0" "user_quota = $((size * 3 / 2))"
  run -0 gc --dry-run
  assert_contains "$output" "0 environments would be collected"
  sleep 1.1 # last use is in seconds
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 4)" printenv AQ_ENV_PREFIX
  two=$(basename "$output")
  # the epilog starts it
  wait_until "$IT_BEHIND_SECONDS" gone "$mine"
  wait_until "$IT_JOB_SECONDS" grep -q "^$mine  *quota" "$CACHE/logs/gc.log"
  named "$two" && named "$theirs"
  assert_equal "$(grep -c quota "$CACHE/logs/gc.log")" 1
  # and it is kept with the manifest
  it_limits "max_age = 0" "min_free = 0"
  rm "$CACHE/cache.db"
  gc
  assert_equal "$(uid_of "$two")" "$(id -u "$AQ_TEST_USER")"
}

@test "collecting all the time harms none of 100 jobs that use, inherit and build" {
  local i job jobs=() tasks=$((${AQ_COUNT_GC_JOBS:-100} / 5)) whole collector
  it_limits "max_size = 1" "grace = 0" "min_free = 0" "max_age = 0"
  whole=$(it_file whole.yaml <<<'{dependencies: [prefix-demo]}')
  (while [[ ! -e $IT_DIR/stop ]]; do it_gc_beside n1 >>"$IT_DIR/gc.log" 2>&1 || echo "FAILED" >>"$IT_DIR/gc.log"; done) 3>&- &
  collector=$!
  for i in 1 2; do # layers, in steps of one's own too
    jobs+=("$(it_submit --array="1-$tasks" -w n1 --aq-requirements="$(asks "$i")" \
      --wrap "python -c 'import aq_gc_$i, json, email.mime.text; print(\"fine\")' && srun python -c 'import aq_gc_$i; print(\"too\")'")")
  done
  # whole environments, without and with Slurm's waiting for a step
  jobs+=("$(it_submit --array="1-$tasks" -w n1 --aq-requirements="$(it_small)" \
    --wrap 'test "$ACTIVATE_DEMO" && cat "$AQ_ENV_PREFIX"/conda-meta/activate-demo-*.json >/dev/null && echo fine && echo too')")
  jobs+=("$(it_submit --array="1-$tasks" -w n1 --aq-requirements="$whole" \
    --wrap 'ls "$AQ_ENV_PREFIX"/conda-meta/prefix-demo-*.json >/dev/null && echo fine && srun ls "$AQ_ENV_PREFIX/conda-meta" >/dev/null && echo too')")
  # steps that ask for more than their job does
  jobs+=("$(it_submit --array="1-$tasks" -w n1 \
    --wrap "srun --aq-requirements=$(asks 3) python -c 'import aq_gc_3, json; print(\"fine\")' && srun --aq-requirements=$(asks 4) python -c 'import aq_gc_4, json; print(\"too\")'")")
  for job in "${jobs[@]}"; do it_wait "$job" 600; done
  touch "$IT_DIR/stop"
  wait "$collector"
  for job in "${jobs[@]}"; do
    for i in $(seq "$tasks"); do
      assert_equal "$(grep -xE 'fine|too' "$IT_SUBMIT/${job}_$i.out" | tr '\n' ' ')" "fine too "
    done
  done
  refute_contains "$(cat "$IT_DIR/gc.log")" FAILED
  # it has been in their way
  grep -qE '^[1-9][0-9]* environments collected' "$IT_DIR/gc.log"
  it_begin
  gc
  assert_equal "$(aq --node n1 list | grep -cE 'inherited|created')" 0
  assert_equal "$(it_refs n1 1)" 0
}
