#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What lies under layers - bases, stubs, byte-code, wheels - is gone, damaged,
# hostile, or wanted by many at once; builders of layers are killed.
# shellcheck disable=SC2154 # bats sets stderr

load lib

setup_file() {
  it_up
  it_wheels
  it_wheel aq-pure 1.0 --file 'aq_pure/__init__.py=VALUE = 1' --file 'aq_pure/more.py=VALUE = 2'
  it_file base.yaml <<'YAML' >/dev/null
channels: [conda-forge]
dependencies: [python=3.9, pip, activate-demo]
YAML
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base.yaml"
}
teardown_file() { it_down; }
setup() {
  it_begin
  CACHE=$(it_cache n1)
  BASE=$(aq --node n1 base list --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["bases"][0]["name"])')
}
teardown() { it_end; }

# asks NAME PIP...: the file NAME that asks for them over Python 3.9.
asks() {
  local name=$1 item
  shift
  {
    printf 'dependencies:\n- python=3.9\n- pip:\n'
    for item in "$@"; do printf '  - "%s"\n' "$item"; done
  } | it_file "$name.yaml"
}

# build FILE: $prefix and $kind.
build() {
  aq --node n1 build --json "$1" >"$IT_DIR/answer" 2>"$IT_DIR/said" || return
  read -r prefix kind < <(python3 -c 'import json, sys
a = json.load(open(sys.argv[1])); print(a["prefix"], a["resolution"])' "$IT_DIR/answer")
}

# forget PREFIX: what collecting would do.
forget() {
  local name=${1##*/}
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  it_drop_row n1 "$name"
  rm -rf "${CACHE:?}/envs/$name" "$CACHE/meta/$name"
}

# pycs PREFIX: its wheels' byte-code.
pycs() { find "$1/lib/python3.9/site-packages" -name '*.pyc' | sort; }

imports() { as_user env -i PATH="$prefix/bin:/usr/bin:/bin" python -c "import $1"; }

@test "stubs that are gone or damaged are made again, by one of many" {
  local i pids=()
  for i in 1 2 3 4 5 6; do it_wheel "aq-many-$i" 1.0 --file "aq_many_$i.py="; done
  rm "$CACHE/work/stubs/$BASE/constraints.txt"
  for i in 1 2 3 4 5 6; do
    aq --node n1 build --json "$(asks "many-$i" "aq-many-$i")" >"$IT_DIR/many-$i" 2>&1 &
    pids+=($!)
  done
  for i in 1 2 3 4 5 6; do
    wait "${pids[i - 1]}" || { cat "$IT_DIR/many-$i" >&2; return 1; }
    assert_contains "$(cat "$IT_DIR/many-$i")" '"resolution": "inherited"'
  done
  [[ -s $CACHE/work/stubs/$BASE/constraints.txt ]]
  rm -r "$CACHE/work/stubs/$BASE"
  it_wheel aq-later 1.0 --file aq_later.py=
  build "$(asks later aq-later)"
  assert_equal "$kind" inherited
}

@test "byte-code that is damaged, gone or a trap is neither linked nor missed" {
  local file tree sha pyc damage
  file=$(asks pure aq-pure==1.0)
  build "$file"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  assert_equal "$(pycs "$prefix" | wc -l)" 2
  sha=$(sha256sum "$WHEELS/aq_pure-1.0-py3-none-any.whl" | cut -d' ' -f1)
  tree=$CACHE/work/bytecode/3.9/$sha
  [[ -s $tree/index ]]
  echo secret >"$IT_DIR/secret"
  for damage in "rm $tree/index" "rm $tree/0.pyc" \
    "sh -c 'head -c 300 /dev/urandom >$tree/index'" "sed -i 's|lib/|lib/../lib/|' $tree/index" \
    "ln -sfn $IT_DIR/secret $tree/0.pyc" "sh -c 'cp /bin/true $tree/1.pyc; chmod 4755 $tree/1.pyc'" \
    "sh -c 'rm $tree/1.pyc; mkfifo $tree/1.pyc'" "chmod 666 $tree/1.pyc" "rm -r $tree"; do
    forget "$prefix"
    eval "$damage"
    build "$file"
    assert_equal "$kind" inherited
    imports aq_pure.more
    wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
    # every one a plain file of the one who makes them, with two names
    while read -r pyc; do
      assert_equal "$(stat -c '%F %U %a' "$pyc")" "regular file $AQ_BUILDER_USER 444"
    done < <(pycs "$prefix")
    # made anew
    assert_equal "$damage: $(pycs "$prefix" | wc -l)" "$damage: 2"
  done
}

@test "a wheel that claims others' files gets no byte-code of theirs in" {
  local mine
  it_wheel aq-claims 1.0 --file aq_claims.py= --claim aq_pure/__init__.py \
    --claim ../../../bin/python3.9 --claim '../../../../../../etc/passwd' --claim /etc/passwd
  it_wheel aq-pure 2.0 --file 'aq_pure/__init__.py=VALUE = 20'
  build "$(asks claims-1 aq-claims aq-pure==1.0)"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  build "$(asks claims-2 aq-claims aq-pure==2.0)"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  run -0 as_user env -i PATH="$prefix/bin:/usr/bin:/bin" python -c 'import aq_pure; print(aq_pure.VALUE)'
  assert_equal "$output" 20
  mine=$(find "$CACHE/work/bytecode" -name index -exec cat {} +)
  refute_contains "$mine" passwd
  refute_contains "$mine" ..
}

@test "hostile wheels: no layer, or one that harms nobody" {
  it_wheel aq-places 1.0 --file aq_places.py= --file 'aq_places-1.0.data/data/pyvenv.cfg=home = /nowhere' \
    --file 'aq_places-1.0.data/data/bin/pip=#!/bin/sh' \
    --file 'aq_places-1.0.data/data/etc/conda/activate.d/x.sh=export EVIL=1'
  build "$(asks places aq-places)"
  run -0 as_user env -i PATH="$prefix/bin:/usr/bin:/bin" python -c 'import sys, aq_places; print(sys.prefix)'
  assert_equal "$output" "$prefix"

  it_wheel aq-set-id 1.0 --set-id --file 'aq_set_id.py=' --file 'aq_set_id-1.0.data/scripts/aq-set-id=#!/bin/sh'
  ! build "$(asks set-id aq-set-id)" || [[ -z $(find "$prefix" -perm /6000) ]]
  assert_equal "$(find "$CACHE/envs" -perm /6000)" ""

  # a cache of byte-code that is a file, and a name that is a directory
  it_wheel aq-file 1.0 --file aq_file/__init__.py= --file aq_file/__pycache__= --file 'aq_file/x.py/y.py='
  build "$(asks file aq-file)"
  imports aq_file
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1

  it_wheel aq-climbs 1.0 --file ../../../../aq_climbed.py=
  ! build "$(asks climbs aq-climbs)" || [[ -z $(find "$CACHE" -name aq_climbed.py -not -path "$prefix/*" -not -path "*/work/wheels/*") ]]
  it_half_built n1
  assert_equal "$(it_half_built n1)" ""
}

@test "a wheel that is its environment's compiler gives root nothing but byte-code" {
  local traps pyc n=0
  traps=$(cat <<PYTHON
import os
class PyCompileError(Exception): pass
class PycInvalidationMode: UNCHECKED_HASH = 0
os.chmod, os.path.exists = lambda *_: None, lambda _: True
def compile(source, pyc, *_, **_more):
    kind = int(os.path.basename(pyc).split('.')[0]) % 4
    if kind == 0: os.symlink('/etc/shadow', pyc)
    if kind == 1: os.mkfifo(pyc)
    if kind == 2: os.mkdir(pyc)
    if kind == 3: os.close(os.open(pyc, os.O_CREAT | os.O_WRONLY, 0o666))
    os.symlink('/etc', os.path.dirname(os.path.dirname(pyc)) + f'/trap{pyc.replace("/", "-")[-40:]}')
PYTHON
)
  it_wheel aq-compiles 1.0 --file aq_compiles/a.py= --file aq_compiles/b.py= --file aq_compiles/c.py= \
    --file aq_compiles/d.py= --file "aq_compiles-1.0.data/data/lib/python3.12/py_compile.py=$traps"
  build "$(it_file compiles.yaml <<<'{dependencies: [python=3.12, {pip: [aq-compiles]}]}')"
  assert_equal "$kind" created
  assert_contains "$(cat "$prefix/lib/python3.12/py_compile.py")" trap
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  while read -r pyc; do
    assert_equal "$(stat -c '%F %U %a %h' "$pyc")" "regular empty file root 444 1"
    n=$((n + 1))
  done < <(find "$prefix/lib/python3.12/site-packages" -path '*__pycache__*' ! -type d)
  ((n > 0)) # it was the compiler
  assert_equal "$(stat -c '%U %a' /etc "$CACHE/work/compile")" $'root 755\nroot 711'
  assert_equal "$(ls -A "$CACHE/work/compile")" ""
}

@test "builders of layers killed at any moment: the next one is whole" {
  local file round tries=${AQ_COUNT_LAYER_KILLS:-6} pid
  file=$(asks pure aq-pure==1.0)
  RANDOM=${AQ_SEED:-1}
  for ((round = 1; round <= tries; round++)); do
    build "$file"
    imports aq_pure.more
    forget "$prefix"
    rm -rf "$CACHE/work/bytecode" "$CACHE/work/stubs" "$CACHE/work/known"
    aq --node n1 build "$file" >"$IT_DIR/killed" 2>&1 &
    pid=$!
    sleep "0.$((RANDOM % 7))$((RANDOM % 10))" # such a build and its byte-code take about that long
    mapfile -t builders < <(it_builders n1)
    ((${#builders[@]} == 0)) || kill -KILL "${builders[@]}" || :
    wait "$pid" || :
    wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  done
  build "$file"
  imports aq_pure.more
  # it may be there already, and the next builder sees to its byte-code
  aq --node n1 build --refresh "$file" >/dev/null
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  assert_equal "$(pycs "$prefix" | wc -l)" 2
  assert_equal "$(it_half_built n1)" ""
}

@test "a base whose files or manifest are gone: built without it, and said why" {
  mv "$CACHE/envs/$BASE" "$IT_DIR/away"
  it_wheel aq-without 1.0 --file aq_without.py=
  build "$(asks without aq-without)"
  assert_equal "$kind" created
  imports aq_without
  assert_contains "$(aq --node n1 show "$(basename "$prefix")")" "not inherited: base 3.9"
  mv "$IT_DIR/away" "$CACHE/envs/$BASE"

  mv "$CACHE/meta/$BASE" "$IT_DIR/away"
  it_wheel aq-unlisted 1.0 --file aq_unlisted.py=
  build "$(asks unlisted aq-unlisted)"
  assert_equal "$kind" created
  mv "$IT_DIR/away" "$CACHE/meta/$BASE"
  it_wheel aq-again 1.0 --file aq_again.py=
  build "$(asks again aq-again)"
  assert_equal "$kind" inherited
}
