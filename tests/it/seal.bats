#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What packages bring that no environment may have; and that jobs change nothing
# of the one they run in.
# shellcheck disable=SC2154 # bats sets stderr
# shellcheck disable=SC2016 # scripts of packages, not ours

load lib

setup_file() {
  it_up
  it_wheels
  # a channel of our own beside the other
  export HOSTILE=$IT_DIR/hostile
  mkdir -m 755 "$HOSTILE"
  conda_package aq-plain --file share/aq-plain=x
  echo "channels = conda-forge=$AQ_CHANNEL hostile=file://$HOSTILE" >>"$IT_DIR/etc/aq.conf"
  it_wheel aq-pure 1.0 --file aq_pure.py=
  it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}' >/dev/null
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base.yaml"
}
teardown_file() { it_down; }
setup() {
  it_begin
  CACHE=$(it_cache n1)
  ENVS=$(ls "$CACHE/envs")
}
teardown() { it_end; }

conda_package() { "$AQ_LIB/make-conda" "$HOSTILE" "$@"; }

# asks CONDA: a request for a package of the hostile channel
asks() { it_file "$1.yaml" <<<"{channels: [hostile], dependencies: [$1]}"; }

# wheel_in PYTHON NAME: one for a wheel; Python 3.9 is inherited, 3.12 not
wheel_in() { it_file "$2-$1.yaml" <<<"{channels: [conda-forge], dependencies: [python=$1, {pip: [$2]}]}"; }

# build FILE: $prefix
build() {
  aq --node n1 build --json "$1" >"$IT_DIR/answer" 2>"$IT_DIR/said" || return
  prefix=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["prefix"])' "$IT_DIR/answer")
}

# not_built FILE WORD: since WORD, remembered as that, and nothing left.
not_built() {
  run --separate-stderr aq --node n1 build "$1"
  assert_equal "$status" 1 || { echo "$stderr" >&2; return 1; }
  assert_contains "$stderr" "$2"
  said=$stderr
  run -1 --separate-stderr aq --node n1 build "$1" # as fast as it is known
  assert_contains "$stderr" "$2"
  assert_equal "$(ls "$CACHE/envs")" "$ENVS"
  assert_equal "$(it_half_built n1)" ""
}

# refused FILE WORD: not built, by what root looks at.  A builder that refuses nothing
# (tests/it/unsealed.c) does make it.
refused() {
  not_built "$1" "$2"
  assert_contains "$said" "refused"
  is_made_by_others "$1"
}

is_made_by_others() {
  local prefix
  it_forget_failures n1
  run -0 --separate-stderr it_unsealed aq --node n1 build --json "$1"
  prefix=$(it_number prefix <<<"$output")
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  it_drop_row n1 "${prefix##*/}"
  rm -r "$prefix" "$CACHE/meta/${prefix##*/}"
}

@test "conda packages: set-id files and links that lead elsewhere are refused" {
  conda_package aq-set-id --file bin/x=x --mode bin/x=6755
  conda_package aq-tmp --link bin/x=/tmp/aq-none
  conda_package aq-climbs --link bin/x=../../../../../../../../tmp/x
  conda_package aq-chain --file a/b/c/x= --link a/b/c/up=../../.. --link bin/x=../a/b/c/up/../evil
  conda_package aq-proc --link bin/x=/proc/self/cwd/x
  conda_package aq-other --link "bin/x=$CACHE/envs/aaaaaaaaaaaaaaaaaaaa-1/bin/x"
  # a client may drop the bits by itself
  ! build "$(asks aq-set-id)" || [[ -z $(find "$prefix" -perm /6000) ]]
  assert_equal "$(find "$CACHE/envs" -perm /6000)" ""
  ENVS=$(ls "$CACHE/envs")
  refused "$(asks aq-tmp)" "a link"
  # these the client links no more (packages.bats has clients that do)
  for name in aq-climbs aq-chain aq-proc aq-other; do not_built "$(asks $name)" "a link"; done
}

@test "conda packages: names that are no text, or ours, are refused" {
  conda_package aq-escape --file $'share/\e[2Jx=x'
  conda_package aq-bidi --file $'share/a\u202eb=x'
  conda_package aq-ours --file .aq/x=x
  conda_package aq-venv --file 'pyvenv.cfg=home = /tmp'
  refused "$(asks aq-escape)" "control characters"
  [[ $stderr != *$'\e'* ]]
  refused "$(asks aq-bidi)" "control characters"
  refused "$(asks aq-ours)" "ours"
  refused "$(asks aq-venv)" "layer"
}

@test "what real packages link to passes" {
  conda_package aq-links --file lib/libx.so.1= --file share/x= --link lib/libx.so=libx.so.1 \
    --link share/none=/dev/null --link bin/env=/usr/bin/env --link share/zoneinfo=/usr/share/zoneinfo \
    --link share/fonts=/aq-no-home/feedstock_root/_h_env_placehold/fonts --link lib64=lib
  build "$(asks aq-links)"
  assert_equal "$(readlink "$prefix/share/none")" /dev/null
  [[ -x $prefix/bin/env && -e $prefix/lib64/libx.so ]]
}

@test "activation: search paths that others can write, and what is loaded unasked, are refused" {
  conda_package aq-search --file 'etc/conda/activate.d/x.sh=export LD_LIBRARY_PATH=/tmp:$LD_LIBRARY_PATH'
  conda_package aq-preload --file 'etc/conda/activate.d/x.sh=export LD_PRELOAD=/usr/lib/x.so'
  conda_package aq-scratch --file 'etc/conda/activate.d/x.sh=export X=$TMPDIR/x Y=$CONDA_PREFIX/../../tmp'
  conda_package aq-state --file 'etc/conda/env_vars.d/x.json={"BASH_ENV": "/tmp/x"}'
  conda_package aq-slurm --file 'etc/conda/activate.d/x.sh=export SLURM_AQ_REQUEST=x'
  refused "$(asks aq-search)" "'LD_LIBRARY_PATH' to '/tmp'"
  refused "$(asks aq-preload)" "'LD_PRELOAD'"
  refused "$(asks aq-scratch)" "a place of the build's"
  refused "$(asks aq-state)" "'BASH_ENV'"
  refused "$(asks aq-slurm)" "'SLURM_AQ_REQUEST'"
  conda_package aq-compiler --file 'etc/conda/activate.d/x.sh=export CC=$CONDA_PREFIX/bin/cc CFLAGS="-isystem $CONDA_PREFIX/include"
export LD_LIBRARY_PATH=$CONDA_PREFIX/lib:${LD_LIBRARY_PATH:-} CMAKE_PREFIX_PATH=$CONDA_PREFIX:$CONDA_PREFIX/sysroot/usr
export XDG_DATA_DIRS=$CONDA_PREFIX/share:/usr/local/share:/usr/share'
  build "$(asks aq-compiler)"
}

@test "wheels: metadata that says what is not so is refused, in layers and whole prefixes" {
  it_wheel aq-record 1.0 --file aq_record.py= --file 'numpy-9.9.dist-info/METADATA=Name: numpy'
  it_wheel aq-purelib 1.0 --file aq_purelib.py= --file 'aq_purelib-1.0.data/purelib/numpy-9.9.dist-info/METADATA=Name: numpy'
  it_wheel aq-egg 1.0 --file aq_egg.py= --file 'numpy.egg-info=Name: numpy'
  it_wheel aq-meta 1.0 --file aq_meta.py= --file 'aq_meta-1.0.data/data/conda-meta/numpy-9.9-0.json={}'
  it_wheel aq-python 1.0 --file aq_python.py= --file 'aq_python-1.0.data/data/bin/python2=#!/bin/sh'
  it_wheel aq-venv-cfg 1.0 --file aq_venv_cfg.py= --file 'aq_venv_cfg-1.0.data/data/pyvenv.cfg=include-system-site-packages = true'
  for python in 3.9 3.12; do
    for name in aq-purelib aq-egg aq-meta; do refused "$(wheel_in $python $name)" "brought"; done
    # a client may refuse by itself what has two records
    ! build "$(wheel_in $python aq-record)" || [[ ! -e $prefix/lib/python$python/site-packages/numpy-9.9.dist-info ]]
    ENVS=$(ls "$CACHE/envs")
  done
  # pip's own clients refuse some names of interpreters by themselves
  for python in 3.9 3.12; do refused "$(wheel_in $python aq-python)" "brought"; done
  # a layer's is ours again; a whole prefix has nobody to say so
  refused "$(wheel_in 3.12 aq-venv-cfg)" "brought"
  build "$(wheel_in 3.9 aq-venv-cfg)"
  run -0 as_user env -i PATH="$prefix/bin:/usr/bin:/bin" python -c 'import sys; print(sys.prefix)'
  assert_equal "$output" "$prefix"
}

@test "a job cannot change the environment it runs in" {
  local before
  cat >"$IT_SUBMIT/change.sh" <<'SH'
# everything below fails; what does not is said
cd "$AQ_ENV_PREFIX" || exit
site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for dir in . bin "$site"; do
  touch "$dir/new" && echo "made a file in $dir"
  mkdir "$dir/newdir" && echo "made a directory in $dir"
  chmod u+w "$dir" && echo "changed the mode of $dir"
  mv "$dir" "$dir.old" && echo "moved $dir"
done
for file in "$(readlink -f bin/python)" "$site"/aq_pure.py; do
  echo x >>"$file" && echo "wrote $file"
  chmod u+w "$file" && echo "changed the mode of $file"
  rm -f "$file" && echo "removed $file"
  ln "$file" "$HOME/link" && echo "linked $file"
done
python -c 'import compileall, sys; compileall.compile_dir(sys.argv[1], force=True, quiet=2)' "$site" >/dev/null
exit 0
SH
  for python in 3.9 3.12; do
    build "$(wheel_in $python aq-pure)"
    wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
    before=$(find "$prefix" -printf '%p %m %U %s %C@\n' | sort)
    run -0 --separate-stderr as_user srun --aq-requirements="$(wheel_in $python aq-pure)" bash "$IT_SUBMIT/change.sh"
    assert_equal "$output" ""
    assert_contains "$stderr" "Permission denied"
    assert_equal "$(find "$prefix" -printf '%p %m %U %s %C@\n' | sort)" "$before"
  done
}

@test "pip install says where packages are asked for instead" {
  it_wheel aq-more 1.0 --file aq_more.py=
  it_file whole.yaml <<<'{channels: [conda-forge], dependencies: [python=3.12, pip]}' >/dev/null
  for file in "$(wheel_in 3.9 aq-pure)" "$IT_SUBMIT/whole.yaml"; do
    run -1 --separate-stderr as_user srun --aq-requirements="$file" \
      pip install --no-index --find-links "$WHEELS" aq-more
    assert_contains "$stderr" "externally-managed-environment"
    assert_contains "$stderr" 'requirements:'
    # into a directory of one's own it goes
    as_user srun --aq-requirements="$file" pip install -q --no-index --find-links "$WHEELS" \
      --target "$IT_SUBMIT/own" aq-more
    [[ -e $IT_SUBMIT/own/aq_more.py ]]
    rm -r "$IT_SUBMIT/own"
    as_user srun --aq-requirements="$file" pip --version
  done
  # what there is of a layer's pip as a module is its own word
  run ! --separate-stderr as_user srun --aq-requirements="$(wheel_in 3.9 aq-pure)" \
    python -m pip install --no-index --find-links "$WHEELS" aq-more
  assert_contains "$stderr" "Permission denied"
}

@test "what a package says while it is built reaches people as text" {
  conda_package aq-says --file $'etc/conda/activate.d/x.sh=printf "\\033]0;title\\007\\033[2Jfailed \\342\\200\\256txet\\n" >&2; exit 7'
  run -1 --separate-stderr as_user srun --aq-requirements="$(asks aq-says)" true || :
  run -125 --separate-stderr as_user srun --aq-requirements="$(asks aq-says)" true
  assert_contains "$stderr" "failed"
  [[ $stderr != *$'\e'* && $stderr != *$'\a'* && $stderr != *$'\u202e'* ]]
  python3 - "$CACHE/cache.db" <<'PYTHON'
import sqlite3, sys
for (reason,) in sqlite3.connect(sys.argv[1]).execute("SELECT reason FROM failures"):
    assert not any(c < " " and c != "\n" or c in "\x7f\u202e" for c in reason), ascii(reason)
PYTHON
}

@test "directories above ours that a user can write are not worked in" {
  local top=$IT_SUBMIT/writable
  mkdir -p "$top/lib"
  chown -h "$AQ_TEST_USER" "$top"
  chown root "$top/lib"
  sed "s|^cache_dir *=.*|cache_dir = $top/lib|" "$IT_DIR/etc/aq.conf" >"$IT_DIR/etc/other.conf"
  grep -q "$top" "$IT_DIR/etc/other.conf" || echo "cache_dir = $top/lib" >>"$IT_DIR/etc/other.conf"
  run -3 --separate-stderr aq --config "$IT_DIR/etc/other.conf" --node n1 build "$(asks aq-plain)"
  assert_contains "$stderr" "not owned by root"
  run --separate-stderr aq --config "$IT_DIR/etc/other.conf" --node n1 doctor
  assert_contains "$output" "on the way to '$top/lib'"
  ln -s "$IT_DIR/etc/aq.conf" "$IT_SUBMIT/aq.conf"
  chown -h "$AQ_TEST_USER" "$IT_SUBMIT/aq.conf"
  run ! --separate-stderr aq --config "$IT_SUBMIT/aq.conf" --node n1 list
  assert_contains "$stderr" "not owned by root"
}
