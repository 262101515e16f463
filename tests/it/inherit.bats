#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Inheriting from a base, with a real client, a real channel and real wheels.
# What conflicts, or might, is compared with a whole build of the same request.
# shellcheck disable=SC2154,SC2016,SC2119,SC2120 # bats sets stderr; programs for
# other shells; options that may be left out

load lib
load inherit

setup_file() {
  it_up
  it_wheels
  # a wheel for the base that brings a path as an editable install does, one
  # that has a program, and halves of a namespace package (PEP 420)
  mkdir -m 755 "$IT_DIR/elsewhere"
  echo 'WHERE = "elsewhere"' >"$IT_DIR/elsewhere/aq_editable_demo.py"
  it_wheel aq-editable 1.0 --file "aq_editable.pth=$IT_DIR/elsewhere
"
  it_wheel aq-tool 1.0 --file 'aq_tool.py=import sys
def main():
    import sklearn_free_plugin
    print(sys.prefix, sklearn_free_plugin.NAME)
' --script aq-tool=aq_tool:main
  it_wheel sklearn-free-plugin 1.0 --file 'sklearn_free_plugin.py=NAME = "plugin"'
  it_wheel aqns-one 1.0 --file 'aqns/one.py=HALF = 1'
  it_wheel aqns-two 1.0 --file 'aqns/two.py=HALF = 2'
  it_wheel aq-low 1.0 --file 'aq_low.py=VERSION = 1'
  it_wheel aq-low 2.0 --file 'aq_low.py=VERSION = 2'
  it_wheel aq-needs-low 1.0 --requires 'aq-low<2' --file 'aq_needs_low.py=import aq_low'
  it_wheel aq-extra 1.0 --extra 'more=aqns-two' --file 'aq_extra.py='
  it_wheel aq-marked 1.0 --requires 'aq-never-there; sys_platform == "win32"' --file 'aq_marked.py='
  it_file base39.yaml <<'YAML' >/dev/null
channels: [conda-forge]
dependencies:
  - python=3.9
  - pip
  - aq-base
  - activate-demo
  - pip: [aq-editable, aq-tool, aqns-one, aq-low==2.0, aq-extra]
YAML
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base39.yaml"
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

# first_base: the prefix of the one with the newest Python.
first_base() {
  echo "$(it_cache n1)/envs/$(aq --node n1 base list --json |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["bases"][0]["name"])')"
}

@test "a layer: the base's packages, programs, paths and activation, and its own" {
  local file base
  file=$(asks scikit-learn==1.6.0 sklearn-free-plugin)
  build "$file"
  assert_equal "$kind" inherited
  base=$(grep '^home = ' "$prefix/pyvenv.cfg" | sed 's/home = //; s|/bin$||')
  run -0 in_env python -c 'import sys; print(sys.prefix, sys.base_prefix)'
  assert_equal "$output" "$prefix $base"
  run -0 in_env python3 -c 'import numpy, sklearn; print(numpy.__file__, sklearn.__file__)'
  assert_contains "$output" "$base/lib/python3.9/site-packages/numpy/"
  assert_contains "$output" "$prefix/lib/python3.9/site-packages/sklearn/"
  run -0 in_env python -c 'import aq_editable_demo; print(aq_editable_demo.WHERE)'
  assert_equal "$output" elsewhere
  # the base's program, with the child's packages; a bare pip is the child's
  run -0 in_env aq-tool
  assert_equal "$output" "$prefix plugin"
  run -0 in_env pip -V
  run -0 in_env pip list --format=freeze --disable-pip-version-check
  assert_contains "$output" "scikit-learn==1.6.0"
  assert_contains "$output" "numpy=="
  run -0 in_env python -c 'from importlib.metadata import version; print(version("numpy"), version("scikit-learn"))'
  assert_contains "$output" " 1.6.0"
  cat >"$IT_SUBMIT/spawn.py" <<'PY'
import multiprocessing
import sys

import sklearn


def prefix(_: int) -> str:
    return f"{sys.prefix} {sklearn.__version__}"


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(*sorted(set(pool.map(prefix, range(4)))))
PY
  run -0 in_env python "$IT_SUBMIT/spawn.py"
  assert_equal "$output" "$prefix 1.6.0"
  # nothing of the base was written
  assert_equal "$(find "$base" -newer "$prefix/pyvenv.cfg" -type f ! -name '*.pyc' | head)" ""
}

@test "an editable path and a program of the base, as a whole environment has them" {
  local file
  file=$(asks aq-editable aq-tool sklearn-free-plugin aqns-two)
  build "$file"
  assert_equal "$kind" inherited
  run -0 in_env aq-tool
  assert_equal "$output" "$prefix plugin"
  like_whole "$file" 'import aq_editable_demo as e, subprocess as s; print(e.WHERE, s.check_output(["aq-tool"], text=True).split()[1])'
  # the whole one's program, in the whole one
  run -0 in_env aq-tool
  assert_equal "$output" "$prefix plugin"
}

@test "a function runs in it through srun, and the next one reuses it" {
  local file
  file=$(asks joblib==1.4.2)
  run -0 --separate-stderr as_user srun --aq-requirements="$file" \
    python -c 'import os, joblib, numpy; print(os.environ["AQ_RESOLUTION"], os.environ["ACTIVATE_DEMO"][:3], joblib.__version__)'
  assert_equal "$output" "inherited on: 1.4.2"
  run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION
  assert_equal "$output" reused
}

@test "a base alone can be what is asked for" {
  local file
  file=$(it_file bare.yaml <<<'{dependencies: [python=3.9, aq-base]}')
  build "$file"
  assert_equal "$kind" inherited
  in_env python -c 'import numpy'
}

@test "a pin older than the base is not inherited: whole, and kept" {
  local file
  file=$(asks numpy==1.26.4)
  build "$file"
  [[ $kind == linked || $kind == created ]]
  run -0 in_env python -c 'import numpy; print(numpy.__version__)'
  assert_equal "$output" 1.26.4
  run -0 aq --node n1 show "$file"
  assert_contains "$output" "not inherited from base 3.9"
}

@test "a transitive pin is not inherited either" {
  local file
  file=$(asks aq-needs-low)
  build "$file"
  [[ $kind == linked || $kind == created ]]
  run -0 in_env python -c 'import aq_needs_low, aq_low; print(aq_low.VERSION)'
  assert_equal "$output" 1
}

@test "a package that only the index has, beside what only the base has" {
  local file
  file=$(asks sklearn-free-plugin aq-tool)
  build "$file"
  assert_equal "$kind" inherited
  like_whole "$file" 'import aq_tool, sklearn_free_plugin as p; print(p.NAME)'
}

@test "an extra of a package of the base" {
  local file
  file=$(asks 'aq-extra[more]' aqns-one)
  build "$file"
  assert_equal "$kind" inherited
  like_whole "$file" 'import aqns.two; print(aqns.two.HALF)'
}

@test "a marker that excludes this platform" {
  local file
  file=$(asks aq-marked "aq-never-there; sys_platform == 'win32'")
  build "$file"
  assert_equal "$kind" inherited
  like_whole "$file" 'import aq_marked; print(aq_marked.__name__)'
}

@test "a namespace package, half in the base and half in the layer" {
  local file
  file=$(asks aqns-one aqns-two)
  build "$file"
  [[ $kind == inherited || $kind == reused ]] # the extra above has its lock
  like_whole "$file" 'import aqns.one, aqns.two; print(aqns.one.HALF + aqns.two.HALF)'
}

@test "a conda package beyond the base: linked, with the base's packages" {
  it_needs_bundled "it prefers the base's packages"
  local file base
  file=$(it_file conda.yaml <<<'{dependencies: [python=3.9, aq-base, scikit-learn]}')
  build "$file"
  assert_equal "$kind" linked
  base=$(basename "$(first_base)")
  # its files are the base's
  [[ $prefix/lib/python3.9/site-packages/numpy/__init__.py -ef \
    $(it_cache n1)/envs/$base/lib/python3.9/site-packages/numpy/__init__.py ]]
  run -0 aq --node n1 show "$file"
  assert_contains "$output" "it lacks: scikit-learn"
}

@test "isolated inherits nothing" {
  local file
  file=$(asks joblib==1.4.2)
  build "$file" --isolated
  assert_equal "$kind" created
  [[ ! -e $prefix/pyvenv.cfg ]]
}

@test "explain says how, from what and why, and builds nothing" {
  it_needs_bundled "it prefers the base's packages"
  local file before
  before=$(it_builds n1)
  file=$(asks 'sklearn-free-plugin' 'threadpoolctl>=3')
  run -0 --separate-stderr aq --node n1 explain "$file"
  assert_contains "$output" "resolution  inherited"
  assert_contains "$output" "base        3.9 "
  assert_contains "$output" "wheel threadpoolctl 3.5.0"
  refute_contains "$output" numpy
  run -0 --separate-stderr aq --node n1 explain --json \
    "$(it_file lacks.yaml <<<'{dependencies: [python=3.9, prefix-demo]}')"
  assert_contains "$output" '"linked"'
  assert_contains "$output" "it lacks: prefix-demo"
  assert_equal "$(it_builds n1)" "$before"
  build "$file"
  run -0 --separate-stderr aq --node n1 explain "$file"
  assert_contains "$output" "reused: it is there, inherited"
}

@test "two keys that resolve to one lock share one environment" {
  local first
  build "$(asks threadpoolctl==3.5.0)"
  first=$prefix
  build "$(asks 'threadpoolctl>=3.5,<3.6')"
  assert_equal "$kind" reused
  assert_equal "$prefix" "$first"
}

@test "byte-code is compiled once, shared, and what the source gives" {
  local file first
  file=$(asks scikit-learn==1.6.0 threadpoolctl)
  build "$file"
  wait_until "$IT_BEHIND_SECONDS" is_compiled
  first=$prefix
  build "$(asks scikit-learn==1.6.0 threadpoolctl sklearn-free-plugin)"
  wait_until "$IT_BEHIND_SECONDS" is_compiled
  [[ $prefix != "$first" ]]
  [[ $first/lib/python3.9/site-packages/sklearn/__pycache__/base.cpython-39.pyc -ef \
    $prefix/lib/python3.9/site-packages/sklearn/__pycache__/base.cpython-39.pyc ]]
  check_bytecode 3.9 500
}

is_compiled() {
  no_mark && [[ -e $prefix/lib/python3.9/site-packages/sklearn/__pycache__/base.cpython-39.pyc ]]
}
no_mark() { [[ -z $(find "$(it_cache n1)/work/bytecode/pending" -type f) ]]; }

# is_last PID: it leaves the processors to others, of other sessions too.
is_last() {
  [[ $(ps -o ni= -p "$1" | tr -d ' ') == 10 ]] &&
    { [[ ! -e /proc/$1/autogroup ]] || grep -q ' nice 10$' "/proc/$1/autogroup"; }
}

# check_bytecode PYTHON N: what wheels have of it, N files at least, is what its
# sources give, and is never compared with them again.
check_bytecode() {
  in_env python - "$prefix/lib/python$1/site-packages" "$2" <<'PY'
import importlib.util, marshal, pathlib, sys

n = 0
for pyc in pathlib.Path(sys.argv[1]).rglob("*.pyc"):
    source = pathlib.Path(importlib.util.source_from_cache(str(pyc)))
    head, code = pyc.read_bytes()[:16], marshal.loads(pyc.read_bytes()[16:])
    assert head[4:8] == b"\x01\0\0\0", f"{pyc} is checked at each start"
    assert head[8:] == importlib.util.source_hash(source.read_bytes()), pyc
    again = compile(source.read_bytes(), code.co_filename, "exec", dont_inherit=True)
    assert again == code, pyc
    n += 1
assert n >= int(sys.argv[2]), n
PY
}

@test "without a base byte-code is an environment's own; an isolated one shares the base's" {
  local locks=$IT_DIR/nodes/n1/run/locks own shared
  # who compiles waits for this, and the answer does not
  exec {lock}>"$locks/bytecode"
  flock "$lock"
  build "$(it_file alone.yaml <<<'{dependencies: [python=3.12, {pip: [joblib==1.4.2]}]}')"
  assert_equal "$kind" created
  assert_equal "$(find "$prefix/lib/python3.12/site-packages" -name '*.pyc' | head -n 1)" ""
  wait_until "$IT_JOB_SECONDS" is_last "$(it_builders n1)"
  exec {lock}>&-
  wait_until "$IT_BEHIND_SECONDS" no_mark
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  assert_equal "$(stat -c '%U %a %h' "$prefix/lib/python3.12/site-packages/joblib/__pycache__/parallel.cpython-312.pyc")" "root 444 1"
  check_bytecode 3.12 50
  assert_equal "$(find "$prefix" -perm /222 ! -type l | head -n 1)" ""
  # what was compiled for it is gone; others of the compiler's account could not find it
  assert_equal "$(stat -c '%U %a' "$(it_cache n1)/work/compile")" "root 711"
  assert_equal "$(ls -A "$(it_cache n1)/work/compile")" ""
  assert_equal "$(find "$(it_cache n1)/work/probe" -name '*.pyc' | head -n 1)" ""
  [[ ! -e $(it_cache n1)/work/bytecode/3.12 ]]
  read -r own shared < <(aq --node n1 show --json "${prefix##*/}" |
    python3 -c 'import json, sys; a = json.load(sys.stdin); print(a["size_own"], a["size_shared"])')
  assert_equal "$((own + shared))" "$(du -s --block-size=1 "$prefix" | cut -f1)"
  build "$(asks joblib==1.4.2 threadpoolctl==3.5.0)" --isolated
  assert_equal "$kind" created
  wait_until "$IT_BEHIND_SECONDS" no_mark
  [[ $prefix/lib/python3.9/site-packages/pip/__pycache__/__main__.cpython-39.pyc -ef \
    $(first_base)/lib/python3.9/site-packages/pip/__pycache__/__main__.cpython-39.pyc ]]
}

@test "--aq-isolated: the job and its steps inherit nothing, a nested job does" {
  local file job
  file=$(asks threadpoolctl==3.5.0)
  run -0 --separate-stderr as_user srun --aq-isolated --aq-requirements="$file" \
    sh -c 'ls $AQ_ENV_PREFIX/pyvenv.cfg; echo $AQ_RESOLUTION'
  assert_equal "$output" created
  cat >"$IT_SUBMIT/isolated.sh" <<SH
#!/bin/bash
layer() { test -e \$AQ_ENV_PREFIX/pyvenv.cfg && echo "\$1 layer" || echo "\$1 whole"; }
layer batch
srun bash -c "\$(declare -f layer); layer step" 2>/dev/null
cd $IT_SUBMIT && sbatch --wait --output=$IT_SUBMIT/nested.out --aq-requirements=$file \
  --wrap "\$(declare -f layer); layer nested"
SH
  job=$(it_submit --ntasks=1 --aq-isolated --aq-requirements="$file" "$IT_SUBMIT/isolated.sh")
  it_wait "$job"
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" $'batch whole\nstep whole'
  assert_contains "$(<"$IT_SUBMIT/nested.out")" "nested layer"
  # a step alone of a job that inherits
  cat >"$IT_SUBMIT/isolated.sh" <<SH
#!/bin/bash
srun --aq-isolated bash -c '[[ ! -e \$AQ_ENV_PREFIX/pyvenv.cfg ]] && echo step whole'
SH
  job=$(it_submit --ntasks=1 --aq-requirements="$file" "$IT_SUBMIT/isolated.sh")
  it_wait "$job"
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" "step whole"
  run -1 as_user srun --aq-isolated true
  assert_contains "$output" "says nothing without --aq-requirements=FILE"
}

@test "--aq-refresh: resolved afresh once a job; current for others from then on" {
  local file job
  it_wheel aq-fresh 1.0 --file 'aq_fresh.py=VERSION = 1'
  file=$(asks aq-fresh)
  version() { as_user srun "$@" --aq-requirements="$file" python -c 'import aq_fresh; print(aq_fresh.VERSION)' 2>/dev/null; }
  assert_equal "$(version)" 1
  it_wheel aq-fresh 2.0 --file 'aq_fresh.py=VERSION = 2'
  assert_equal "$(version)" 1
  # one that fails changes nothing
  mkdir "$IT_DIR/away" && mv "$WHEELS"/aq_fresh-* "$IT_DIR/away"
  run -125 version --aq-refresh
  mv "$IT_DIR"/away/* "$WHEELS"
  assert_equal "$(version)" 1
  # srun says in the same file when it had to wait for the step before
  cat >"$IT_SUBMIT/fresh.sh" <<'SH'
#!/bin/bash
for i in 1 2; do srun sh -c 'python -c "import aq_fresh; print(aq_fresh.VERSION)"; echo $AQ_RESOLUTION' 2>/dev/null; done
SH
  job=$(it_submit --ntasks=1 --aq-refresh --aq-requirements="$file" "$IT_SUBMIT/fresh.sh")
  it_wait "$job"
  # the batch step has refreshed it
  assert_equal "$(grep -v '^aq: ' "$IT_SUBMIT/${job}"_*.out)" $'2\nreused\n2\nreused'
  assert_equal "$(version)" 2
  run -0 --separate-stderr as_user srun --aq-refresh --aq-requirements="$file" printenv AQ_RESOLUTION
  assert_contains "$stderr" "inheriting from base"
}

@test "a wheel that changed under its name is resolved anew" {
  it_wheel aq-changes 1.0 --file 'aq_changes.py=VERSION = 1'
  build "$(asks aq-changes)"
  run -0 in_env python -c 'import aq_changes; print(aq_changes.VERSION)'
  assert_equal "$output" 1
  it_wheel aq-changes 1.0 --file 'aq_changes.py=VERSION = "another"'
  build "$(asks aq-changes aqns-one)" # another key
  run -0 in_env python -c 'import aq_changes; print(aq_changes.VERSION)'
  assert_equal "$output" another
}

@test "what does not fit together is refused, not built" {
  # a conda package of the request needs another version than its own pip pin:
  # resolvers of either part alone see nothing wrong
  it_wheel numpy 0.1 --file 'numpy/__init__.py='
  run -1 --separate-stderr aq --node n1 build \
    "$(it_file unfit.yaml <<<'{dependencies: [python=3.9, pandas, {pip: [numpy==0.1]}]}')"
  assert_contains "$stderr" "do not fit together"
  assert_contains "$stderr" "pandas"
  rm "$WHEELS"/numpy-0.1*
}

@test "the lock file of a layer leads to that layer again" {
  local file first
  file=$(asks joblib==1.4.2 sklearn-free-plugin threadpoolctl)
  build "$file"
  first=$prefix
  aq --node n1 show --lock "$file" >"$IT_SUBMIT/lock.txt"
  grep -q '/numpy-.*\.conda#sha256:' "$IT_SUBMIT/lock.txt"
  grep -q '^# pip joblib @ ' "$IT_SUBMIT/lock.txt"
  build "$IT_SUBMIT/lock.txt"
  assert_equal "$kind" reused
  assert_equal "$prefix" "$first"
}

@test "what conda brings under another name does not come twice" {
  local file
  it_wheel aq-wants-tz 1.0 --requires 'tzdata>=2024' --file 'aq_wants_tz.py='
  file=$(it_file twice.yaml <<<'{dependencies: [python=3.9, pandas, {pip: [aq-wants-tz]}]}')
  build "$file" --isolated
  run -0 aq --node n1 show --lock --isolated "$file"
  assert_contains "$output" "/python-tzdata-" # conda's name of PyPI's tzdata
  refute_contains "$output" "# pip tzdata"
  in_env python -c 'import aq_wants_tz, pandas, tzdata'
}

@test "a wheel brings data beside the base's, and no pyvenv.cfg of its own" {
  it_wheel aq-forger 1.0 --file 'aq_forger-1.0.data/data/pyvenv.cfg=home = /nowhere' \
    --file 'aq_forger.py=' --file 'aq_forger-1.0.data/data/share/aq/forger.txt=data'
  build "$(asks aq-forger)"
  assert_equal "$kind" inherited
  run -0 in_env python -c 'import sys, aq_forger; print(sys.prefix, open(sys.prefix + "/share/aq/forger.txt").read())'
  assert_equal "$output" "$prefix data"
  # beside it, what the base has there
  [[ -e $prefix/share/zoneinfo ]]
}
