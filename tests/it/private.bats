#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What aq.conf's policy lets a user have for themselves alone.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

setup_file() {
  it_up
  it_wheels
  chmod 1777 "$IT_SUBMIT"
  ALL="vcs=private local=private source=private"
  export ALL SOURCES=$IT_DIR/sources
  mkdir -m 755 "$SOURCES"
  "$AQ_LIB/make-source" "$SOURCES" aq-vcs 1.0 --requires six --git >/dev/null
  "$AQ_LIB/make-source" "$WHEELS" aq-sdist 2.0 --requires six >/dev/null
  serve
}
teardown_file() {
  [[ ! -e ${IT_DIR-}/pids ]] || xargs kill <"$IT_DIR/pids" 2>/dev/null || :
  it_down
}
setup() {
  it_begin
  policy "$ALL"
}
teardown() {
  wait_while "$IT_JOB_SECONDS" it_has_builders n1
  it_end
}
it_has_builders() { [[ -n $(it_builders "$1") ]]; }

# serve: the repositories by HTTP, as git's "dumb" protocol has it.
serve() {
  python3 - "$SOURCES" "$IT_DIR/port" <<'PY' 3>&- >/dev/null 2>&1 &
import functools, http.server, os, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
with open(sys.argv[2] + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
PY
  echo "$!" >"$IT_DIR/pids"
  wait_until 10 test -e "$IT_DIR/port"
}

policy() {
  sed -i '/^policy /d' "$IT_DIR/etc/aq.conf"
  echo "policy = $1" >>"$IT_DIR/etc/aq.conf"
}

# asks NAME REQUIREMENT...: a request's file.
asks() {
  local name=$1
  shift
  {
    echo 'dependencies: [python=3.9, {pip: ['
    printf '  "%s",\n' "$@"
    echo ']}]'
  } | it_file "$name.yaml"
}
url() { echo "git+http://127.0.0.1:$(cat "$IT_DIR/port")/$1/.git"; }
vcs() { asks vcs "aq-vcs @ $(url aq-vcs)"; }

# runs USER FILE COMMAND...: the command in its environment on n1.
runs() {
  local user=$1 file=$2
  shift 2
  run --separate-stderr as_user -u "$user" srun -w n1 --aq-requirements="$file" "$@"
}
private() { echo "$(it_cache n1)/private/$(id -u "${1:-$AQ_TEST_USER}")"; }
n_private() { find "$(private "$1")/envs" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }

@test "a repository is built as the job's user, for that user alone" {
  local file prefix
  file=$(vcs)
  runs "$AQ_TEST_USER" "$file" sh -c 'echo $CONDA_PREFIX; exec python -c "import aq_vcs, six; print(aq_vcs.BUILT_BY)"'
  echo "$stderr"
  assert_equal "$status" 0
  prefix=${lines[0]}
  assert_equal "${lines[1]}" "$(id -u "$AQ_TEST_USER")"
  assert_equal "$(dirname "$prefix")" "$(private)/envs"
}
