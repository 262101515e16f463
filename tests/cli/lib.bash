# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What tests of the command have: a directory and an aq.conf of their own, and a
# stand-in for aq-builder; no Slurm, no packages, no root needed (as root it is
# the node's cache that is used).

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
builder_user = root
probe_user = root
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
db.execute("UPDATE environments SET base = '99999999999999999999-9' WHERE name = ?", (sys.argv[3],))
db.commit()
PY
  aq pin "${NAMES[0]}"
}
