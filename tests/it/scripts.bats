#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Link scripts of conda's packages, where aq.conf's policy lets users have them for
# themselves alone.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

setup_file() {
  it_up
  CHANNEL=$IT_DIR/scripts CANARY=$IT_DIR/canary
  export CHANNEL CANARY
  mkdir -m 755 "$CHANNEL"
  mkdir -m 777 "$CANARY"
  chmod 1777 "$IT_SUBMIT"
  "$AQ_LIB/make-package" "$CHANNEL" aq-nothing 1.0
  echo "channels = conda-forge=$AQ_CHANNEL scripts=file://$CHANNEL" >>"$IT_DIR/etc/aq.conf"
  it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}' >/dev/null
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base.yaml"
}
teardown_file() { it_down; }
setup() {
  it_begin
  rm -f "$IT_SUBMIT/down" "$CANARY"/*
  policy script=private
}
teardown() {
  touch "$IT_SUBMIT/down" # a job may wait for it
  it_end
}

policy() {
  sed -i '/^policy /d' "$IT_DIR/etc/aq.conf"
  echo "policy = $1" >>"$IT_DIR/etc/aq.conf"
}
# package NAME SCRIPT OPTION...: with that post-link script.
package() {
  local name=$1 text=$2
  shift 2
  "$AQ_LIB/make-package" "$CHANNEL" "$name" 1.0 --file "bin/.$name-post-link.sh=$text"$'\n' "$@"
}
# asks NAME...: a request's file.
asks() {
  local names=$*
  it_file "$1.yaml" <<<"{channels: [conda-forge, scripts], dependencies: [${names// /, }]}"
}
# runs USER FILE COMMAND...: the command in its environment on n1.
runs() {
  local user=$1 file=$2
  shift 2
  run --separate-stderr as_user -u "$user" srun -w n1 --aq-requirements="$file" "$@"
}
private() { echo "$(it_cache n1)/private/$(id -u "$1")"; }

@test "a link script runs for its user alone, after those that it needs, and once" {
  local file user one two
  package aq-first 'echo "first $PKG_NAME $PKG_VERSION $PKG_BUILDNUM $(id -u) $FIRST_TOLD" >"$PREFIX/share-first"' \
    --file 'etc/conda/activate.d/first.sh=export FIRST_TOLD=told'
  package aa-second 'cat "$PREFIX/share-first" >"$PREFIX/share-second"; second-program >>"$PREFIX/share-second"; echo "a message" >"$PREFIX/.messages.txt"' \
    --depends aq-first --file $'bin/second-program=#!/bin/sh\necho "$PWD"\n'
  file=$(asks aa-second)
  runs "$AQ_TEST_USER" "$file" sh -c 'echo "$AQ_RESOLUTION $CONDA_PREFIX"; cat "$CONDA_PREFIX/share-second"'
  echo "$output $stderr"
  assert_equal "$status" 0
  one=${lines[0]#created }
  [[ $one == "$(private "$AQ_TEST_USER")"/envs/* ]]
  assert_equal "${lines[1]}" "first aq-first 1.0 0 $(id -u "$AQ_TEST_USER") told"
  assert_equal "${lines[2]}" "$one/bin"
  assert_contains "$stderr" "running the link script of 'aa-second'"
  grep -rqx 'a message' "$(private "$AQ_TEST_USER")/logs"
  [[ ! -e $one/.messages.txt ]]
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 # for its byte-code directories are opened
  assert_equal "$(find "$one" \( ! -uid 0 -o -perm /7222 \) ! -type l | head -n 3)" ""
  # it is there by now, and the look-up goes there at once
  runs "$AQ_TEST_USER" "$file" sh -c 'echo "$AQ_RESOLUTION $CONDA_PREFIX"'
  assert_equal "$output $stderr" "reused $one "
  runs "$AQ_OTHER_USER" "$file" sh -c 'echo "$AQ_RESOLUTION $CONDA_PREFIX"; head -n 1 "$CONDA_PREFIX/share-second"'
  assert_equal "$status" 0
  two=${lines[0]#created }
  [[ $two == "$(private "$AQ_OTHER_USER")"/envs/* ]]
  assert_equal "${lines[1]}" "first aq-first 1.0 0 $(id -u "$AQ_OTHER_USER") told"
  run ! as_user -u "$AQ_OTHER_USER" cat "$one/share-second"
  # nothing of it is everybody's
  run -0 --separate-stderr aq --node n1 list --json
  assert_equal "$(jq -c '[.environments[] | select(.private_to == null) | .base_of] | length' <<<"$output")" 1
  run -0 aq --node n1 verify --contents
}

@test "what turns out to be private is one new key" {
  local file
  package aq-counted 'echo counted >"$PREFIX/counted"'
  file=$(asks aq-counted)
  rm -f "$IT_DIR/nodes/n1/run/queue"/keys-*
  echo "max_new_keys = 1" >>"$IT_DIR/etc/aq.conf"
  runs "$AQ_TEST_USER" "$file" sh -c 'cat "$CONDA_PREFIX/counted"'
  sed -i '/^max_new_keys /d' "$IT_DIR/etc/aq.conf"
  assert_equal "$status $output" "0 counted"
  assert_equal "$(wc -l <"$IT_DIR/nodes/n1/run/queue/keys-$(id -u "$AQ_TEST_USER")")" 1
}

@test "of an array's first tasks one finds out, and one builds" {
  local file job
  package aq-many 'echo many >"$PREFIX/many"'
  file=$(asks aq-many)
  job=$(it_submit -w n1 --array=1-4 --aq-requirements="$file" --wrap 'cat $CONDA_PREFIX/many')
  it_wait "$job"
  assert_equal "$(cat "$IT_SUBMIT/$job"_*.out | grep -cx many)" 4
  # who waits is told of the one attempt of all and of the one that is private
  run -0 grep -c 'resolving' "$IT_SUBMIT/$job"_*.out
  refute_contains "$output" ":3"
}

@test "what a job uses stays, from the first time on, and goes afterwards" {
  local file job name
  package aq-kept 'echo kept >"$PREFIX/kept"'
  file=$(asks aq-kept)
  it_limits "max_age = 3600" "grace = 0"
  job=$(as_user sbatch --parsable -w n1 --output="$IT_SUBMIT/%j.out" --aq-requirements="$file" --wrap \
    "echo \$CONDA_PREFIX >$IT_SUBMIT/up.new; mv $IT_SUBMIT/up.new $IT_SUBMIT/up; until [ -e $IT_SUBMIT/down ]; do sleep 0.1; done; cat \$CONDA_PREFIX/kept")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/up"
  age
  run -0 it_gc n1
  name=$(basename "$(cat "$IT_SUBMIT/up")")
  [[ -e $(private "$AQ_TEST_USER")/envs/$name/kept ]]
  assert_equal "$(find "$IT_DIR/nodes/n1/run/leases" -name "$job.*" | wc -l)" 0
  assert_equal "$(find "$IT_DIR/nodes/n1/run/private/$(id -u "$AQ_TEST_USER")/leases" -name "$job.*" | wc -l)" 1
  touch "$IT_SUBMIT/down"
  it_wait "$job"
  it_job_is COMPLETED "$job"
  assert_equal "$(tail -n 1 "$IT_SUBMIT/$job.out")" kept
  it_begin
  assert_equal "$(find "$IT_DIR/nodes/n1/run" -name "$job.*" | wc -l)" 0
  run -0 it_gc n1 # its use is noted
  age
  run -0 it_gc n1
  [[ ! -e $(private "$AQ_TEST_USER")/envs/$name ]]
  it_limits
}
newest() {
  aq --node n1 list --json --private "$AQ_TEST_USER" | jq -r '.environments | max_by(.created).name'
}
age() {
  python3 - "$(private "$AQ_TEST_USER")/cache.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE environments SET last_used = 1000, created = 1000")
db.commit()
PY
}

@test "a script that fails is named, and what it says is text" {
  local file
  package aq-failing $'printf "\\033]0;title\\007 said this\\n" >&2; exit 7'
  file=$(asks aq-failing)
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 125
  assert_contains "$stderr" "the link script of package 'aq-failing' failed (exit code 7)"
  assert_contains "$stderr" "said this"
  refute_contains "$stderr" $'\033'
  run ! grep -rq $'\033' "$(private "$AQ_TEST_USER")/logs"
}

@test "what is refused is refused by name: where policy says so, of root, and before linking" {
  local file
  policy ""
  package aq-refused 'echo ran >"$PREFIX/ran"'
  file=$(asks aq-refused)
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 125
  assert_contains "$stderr" "package 'aq-refused' has a link script ('bin/.aq-refused-post-link.sh'), which this site refuses (aq.conf's policy: script=refuse)"
  policy script=private
  package aq-roots 'echo ran >"$PREFIX/ran"'
  run -1 --separate-stderr aq --node n1 build "$(asks aq-roots)"
  assert_contains "$stderr" "which runs in private environments alone: what root builds is everybody's"
  # which is nothing to others
  runs "$AQ_TEST_USER" "$(asks aq-roots)" sh -c 'cat "$CONDA_PREFIX/ran"'
  assert_equal "$output" ran
  "$AQ_LIB/make-package" "$CHANNEL" aq-early 1.0 --file "bin/.aq-early-pre-link.sh=true"
  runs "$AQ_TEST_USER" "$(asks aq-early)" true
  assert_equal "$status" 125
  assert_contains "$stderr" "package 'aq-early' has a pre-link script ('bin/.aq-early-pre-link.sh'), which no build runs"
}

@test "a script is in the cage, as its user" {
  local file shared
  shared=$(it_cache n1)
  package aq-hostile "for f in '$CANARY/x' '$shared/x' '$shared/envs/x' '$shared/work/x' '$shared/work/pkgs/x' '$IT_DIR/etc/x' /tmp/aq-x; do
  (echo x >\"\$f\") 2>/dev/null && echo \"wrote \$f\" >>\"\$PREFIX/out\"
done
ls '$shared/work' '$(private "$AQ_OTHER_USER")' >>\"\$PREFIX/out\" 2>/dev/null
(sleep 600 &) >/dev/null 2>&1
env | grep -E 'canary|^SLURM|NETRC' >>\"\$PREFIX/out\"
grep CapEff /proc/self/status >>\"\$PREFIX/out\"; ls /proc | grep -c '^[0-9]' >>\"\$PREFIX/out\"
exit 0"
  file=$(asks aq-hostile)
  runs "$AQ_TEST_USER" "$file" sh -c 'cat "$CONDA_PREFIX/out"'
  echo "$output $stderr"
  assert_equal "$status" 0
  assert_equal "${lines[0]}" "CapEff:"$'\t'"0000000000000000"
  [[ ${lines[1]} -lt 12 && ${#lines[@]} -eq 2 ]]
  run ! pgrep -u "$AQ_TEST_USER" -x sleep
  assert_equal "$(ls "$CANARY")" ""
  package aq-forget 'rm "$PREFIX"/conda-meta/aq-forget-*.json'
  runs "$AQ_TEST_USER" "$(asks aq-forget)" true
  assert_equal "$status" 125
  assert_contains "$stderr" "a package brought 'conda-meta"
  package aq-suid 'cp /bin/true "$PREFIX/bin/t" && chmod u+s "$PREFIX/bin/t"'
  runs "$AQ_TEST_USER" "$(asks aq-suid)" true
  assert_equal "$status" 125
  assert_contains "$stderr" "bin/t"
}

@test "pip requirements beside it, and another build of the same after damage" {
  local file name env
  package aq-with-pip 'python -c "print(40 + 2)" >"$PREFIX/answer"' --depends python
  file=$(it_file with-pip.yaml <<<'{channels: [conda-forge, scripts], dependencies: [python=3.9, aq-with-pip, {pip: [idna]}]}')
  runs "$AQ_TEST_USER" "$file" sh -c 'cat "$CONDA_PREFIX/answer"; python -c "import idna; print(idna.__name__)"'
  echo "$output $stderr"
  assert_equal "$status" 0
  assert_equal "$output" "42"$'\n'"idna"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  name=$(newest)
  env=$(private "$AQ_TEST_USER")/envs/$name
  echo damage >>"$env/answer"
  rm -rf "$IT_DIR/nodes/n1/run/private/$(id -u "$AQ_TEST_USER")/hits"/script-* # as after a boot
  run -3 aq --node n1 verify --contents
  assert_contains "$output" "$name"
  run -0 --separate-stderr aq --node n1 verify --contents --repair
  assert_equal "$(cat "$env/answer")" 42
  run -0 aq --node n1 verify --contents
}
