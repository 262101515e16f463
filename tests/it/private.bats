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
  rm -f "$IT_SUBMIT/down"
  policy "$ALL"
}
teardown() {
  touch "$IT_SUBMIT/down" # a job may wait for it
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

# mine USER: what is there of that user's own, as JSON.
mine() { aq --node n1 list --json --private "$1"; }
name_of() { mine "$1" | python3 -c 'import json,sys; print(*(e["name"] for e in json.load(sys.stdin)["environments"]))'; }
readonly SAY='import os, aq_vcs; print(os.environ["CONDA_PREFIX"], aq_vcs.BUILT_BY, os.environ["AQ_RESOLUTION"])'

# age USER: what they have was used long ago.
age() {
  python3 - "$(private "$1")/cache.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE environments SET last_used = 1000, created = 1000")
db.commit()
PY
}

# is_closed PREFIX: everything of it is root's, linked once, and nobody writes it; once
# its byte-code, which comes behind the answer, has only the place that it is for.
is_closed() {
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  assert_equal "$(find "$1" \( ! -uid 0 -o -perm /7222 -o -type f -links +1 \) ! -type l | head -n 3)" ""
  assert_equal "$(find "$1" -type l ! -uid 0)" ""
}

@test "each user gets an environment of their own for the same private request" {
  local file one two user id
  file=$(vcs)
  runs "$AQ_TEST_USER" "$file" python -c "$SAY"
  assert_equal "$status" 0
  one=$(private)/envs/$(name_of "$AQ_TEST_USER")
  assert_equal "$output" "$one $(id -u "$AQ_TEST_USER") created"
  runs "$AQ_OTHER_USER" "$file" python -c "$SAY"
  assert_equal "$status" 0
  two=$(private "$AQ_OTHER_USER")/envs/$(name_of "$AQ_OTHER_USER")
  assert_equal "$output" "$two $(id -u "$AQ_OTHER_USER") created"
  [[ -d $one && -d $two && $one != "$two" ]]
  is_closed "$one"
  is_closed "$two"
  # the second time it is there, for both, and without a library
  for user in "$AQ_TEST_USER" "$AQ_OTHER_USER"; do
    runs "$user" "$file" sh -c 'echo $AQ_RESOLUTION'
    assert_equal "$output" reused
  done
  assert_equal "$(n_private "$AQ_TEST_USER") $(n_private "$AQ_OTHER_USER")" "1 1"
  # nothing of it is shared, and neither sees the other's
  assert_equal "$(it_builds n1)" 0
  for user in "$AQ_TEST_USER" "$AQ_OTHER_USER"; do
    id=$([[ $user == "$AQ_TEST_USER" ]] && echo "$two" || echo "$one")
    run ! as_user -u "$user" ls "$id"
    run ! as_user -u "$user" cat "$id/bin/python3.9"
    run ! as_user -u "$user" ls "${id%/envs/*}/work"
    run ! as_user -u "$user" ls "$IT_DIR/nodes/n1/run-public/private/$(stat -c %u "${id%/envs/*}/work/pkgs")"
    run ! as_user -u "$user" touch "$(private "$user")/x"
    run ! as_user -u "$user" touch "$(private "$user")/envs/x"
  done
}

@test "for the same shared request there is one" {
  local file
  file=$(it_small)
  runs "$AQ_TEST_USER" "$file" sh -c 'echo $CONDA_PREFIX'
  assert_equal "$status" 0
  first=$output
  runs "$AQ_OTHER_USER" "$file" sh -c 'echo $CONDA_PREFIX $AQ_RESOLUTION'
  assert_equal "$output" "$first reused"
  assert_equal "$(it_builds n1)" 1
}

@test "a package is built from its source, and its dependency is a wheel" {
  local file
  file=$(asks sdist aq-sdist "--no-binary aq-sdist")
  runs "$AQ_TEST_USER" "$file" python -c 'import aq_sdist, six; print(aq_sdist.BUILT_BY)'
  assert_equal "$status" 0
  assert_equal "$output" "$(id -u "$AQ_TEST_USER")"
  run -0 aq --node n1 show --json --private "$AQ_TEST_USER" "$(mine "$AQ_TEST_USER" |
    python3 -c 'import json,sys; print(max(json.load(sys.stdin)["environments"], key=lambda e: e["created"])["name"])')"
  python3 -c 'import json,sys; p={q["name"]: q["kind"] for q in json.loads(sys.argv[1])["packages"]}
assert p["aq-sdist"] == "source" and p["six"] == "wheel" and p["python"] == "conda", p' "$output"
  # not without it
  file=$(asks plain aq-sdist)
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 125
  assert_contains "$stderr" "aq-sdist"
  # nor of what was not named
  "$AQ_LIB/make-source" "$SOURCES" aq-needs-sdist 1.0 --requires aq-sdist --git >/dev/null
  file=$(asks needs "aq-needs-sdist @ $(url aq-needs-sdist)")
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 125
  assert_contains "$stderr" "'aq-sdist' 2.0 has no wheel with a hash"
  assert_contains "$stderr" "add '--no-binary aq-sdist'"
}

@test "a wheel of the user's own; changed, it is another request" {
  local file
  install -d -o "$AQ_TEST_USER" -m 700 "$IT_SUBMIT/own"
  WHEELS=$IT_SUBMIT/own it_wheel aq-own 1.0 --file 'aq_own.py=WHAT = 1'
  chown -R "$AQ_TEST_USER" "$IT_SUBMIT/own"
  file=$(asks own "./own/aq_own-1.0-py3-none-any.whl")
  runs "$AQ_TEST_USER" "$file" python -c 'import aq_own; print(aq_own.WHAT)'
  assert_equal "$status" 0
  assert_equal "$output" 1
  WHEELS=$IT_SUBMIT/own it_wheel aq-own 1.0 --file 'aq_own.py=WHAT = 2'
  runs "$AQ_TEST_USER" "$file" python -c 'import aq_own; print(aq_own.WHAT)'
  assert_equal "$output" 2
  # whom it is not readable for, it is not
  runs "$AQ_OTHER_USER" "$file" true
  [[ $status -eq 1 ]]
  assert_contains "$stderr" "aq_own-1.0-py3-none-any.whl"
}

@test "what is refused says by which rule, before it is queued" {
  local file
  policy "source=private"
  file=$(vcs)
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 1
  assert_contains "$stderr" "$file:2:3: 'aq-vcs @ $(url aq-vcs)' is a repository, which this site refuses (aq.conf's policy: vcs=refuse)"
  assert_contains "$stderr" "ask the administrator for 'vcs=private'"
  file=$(asks own ./own.whl)
  runs "$AQ_TEST_USER" "$file" true
  assert_contains "$stderr" "'./own.whl' is a local file, which this site refuses (aq.conf's policy: local=refuse)"
  policy ""
  file=$(asks sdist aq-sdist "--no-binary aq-sdist")
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 1
  assert_contains "$stderr" "is a build from source, which this site refuses (aq.conf's policy: source=refuse)"
}

@test "a forged request is judged by the node, and hits nothing of another's" {
  local file forged
  file=$(vcs)
  forged="aq-request 1
python 3.9.*
pip aq-vcs @ $(url aq-vcs)
"
  local attack
  attack=$(it_file attack.sh <<SH
#!/bin/bash
export SLURM_AQ_REQUEST='$forged'
exec srun -n1 python -c '$SAY'
SH
  )
  chmod 755 "$attack"
  run --separate-stderr as_user -u "$AQ_OTHER_USER" salloc --quiet -w n1 "$attack"
  assert_equal "$status" 0
  assert_contains "$output" "$(private "$AQ_OTHER_USER")/envs/"
  refute_contains "$output" "$(private)/"
  # and the node's own policy
  policy "vcs=refuse"
  run --separate-stderr as_user -u "$AQ_OTHER_USER" salloc --quiet -w n1 "$attack"
  [[ $status -ne 0 ]]
  assert_contains "$stderr" "vcs=refuse"
}

@test "what is built runs in the cage, as its user, and without the site's secrets" {
  local file
  # of a place that its packages may come from
  printf 'machine 127.0.0.1 login builder password canary-password-1\n' >"$IT_DIR/etc/aq.credentials"
  chmod 600 "$IT_DIR/etc/aq.credentials"
  cp "$IT_DIR/etc/aq.conf" "$IT_DIR/aq.conf.was"
  sed -i "s|^find_links .*|& http://127.0.0.1:$(cat "$IT_DIR/port")/|" "$IT_DIR/etc/aq.conf"
  echo "credentials = $IT_DIR/etc/aq.credentials" >>"$IT_DIR/etc/aq.conf"
  "$AQ_LIB/make-source" "$SOURCES" aq-spy 1.0 --git --build 'import pathlib, subprocess' \
    --build 'def tried(path):' --build '    try: pathlib.Path(path).write_text("x"); return "wrote"' \
    --build '    except OSError as e: return type(e).__name__' \
    --build "home = tried(os.path.expanduser('~$AQ_TEST_USER') + '/aq-spy')" \
    --build "out = tried('$IT_SUBMIT/aq-spy')" \
    --build 'caps = [l for l in open("/proc/self/status") if l.startswith(("CapEff", "NoNewPrivs", "Groups"))]' \
    --build 'procs = [p for p in os.listdir("/proc") if p.isdigit()]' \
    --build 'env = {k: v for k, v in os.environ.items() if "canary" in v or k in ("NETRC", "SLURM_JOB_ID")}' \
    --build 'mounts = open("/proc/self/mounts").read()' \
    --build 'print("SPY", home, out, [c.split() for c in caps], len(procs) < 20, env, "ramfs" in mounts, file=__import__("sys").stderr)' \
    --build 'raise SystemExit("done spying")' >/dev/null
  chmod 1777 "$IT_SUBMIT"
  file=$(asks spy "aq-spy @ $(url aq-spy)")
  runs "$AQ_TEST_USER" "$file" true
  it_restore "$IT_DIR/aq.conf.was" "$IT_DIR/etc/aq.conf"
  assert_equal "$status" 125
  run -0 grep -h '^ *SPY' -r "$(private)/logs" <<<""
  assert_contains "$output" "SPY OSError OSError [['Groups:'], ['CapEff:', '0000000000000000'], ['NoNewPrivs:', '1']] True {} False"
  [[ ! -e $IT_SUBMIT/aq-spy ]]
}

@test "aq list, verify and stats go over all domains, and a user sees their own" {
  local n
  run -0 aq --node n1 list
  assert_contains "$output" "private to $AQ_TEST_USER ($(id -u "$AQ_TEST_USER")):"
  assert_contains "$output" "private to $AQ_OTHER_USER ($(id -u "$AQ_OTHER_USER")):"
  run -0 --separate-stderr aq --node n1 list --json
  n=$(python3 -c 'import json,sys; print(sum(e["private_to"] is not None for e in json.loads(sys.argv[1])["environments"]))' "$output")
  assert_equal "$n" "$(($(n_private "$AQ_TEST_USER") + $(n_private "$AQ_OTHER_USER")))"
  run -0 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq --node n1 list --shared
  assert_contains "$output" "private to $AQ_TEST_USER"
  refute_contains "$output" "$AQ_OTHER_USER"
  run -1 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq list --private "$AQ_OTHER_USER"
  run -4 --separate-stderr aq --node n1 list --private "$AQ_BUILDER_USER"
  run -0 --separate-stderr aq --node n1 verify --contents --json
  python3 -c 'import json,sys; v=json.loads(sys.argv[1]); assert not v["findings"], v; assert v["environments"] >= int(sys.argv[2])' "$output" "$n"
  run -0 --separate-stderr aq --node n1 stats --json
  python3 -c 'import json,sys; s=json.loads(sys.argv[1]); assert s["private_domains"] == 2 and s["counts"]["created"] >= 2, s' "$output"
}

@test "verify says whose is damaged, and repairs it as that user's" {
  local damaged env name
  wait_while "$IT_BEHIND_SECONDS" it_has_builders n1 # its byte-code too
  # one that can be had again: what it came from has not changed since
  damaged=$(find "$(private)/envs" -name aq_vcs.py -print -quit)
  env=${damaged%%/lib/python*}
  name=${env##*/}
  echo "damage" >>"$damaged"
  run -3 --separate-stderr aq --node n1 verify --contents
  assert_contains "$output" "private to $AQ_TEST_USER ($(id -u "$AQ_TEST_USER")): $name"
  run --separate-stderr aq --node n1 verify --contents --repair
  echo "$output $stderr"
  assert_equal "$status" 0
  run -0 aq --node n1 verify --contents
  is_closed "$env"
}

@test "gc collects what is private too, but not what a job uses" {
  local file job name
  file=$(vcs)
  runs "$AQ_OTHER_USER" "$file" true
  assert_equal "$status" 0
  it_limits "max_age = 3600" "grace = 0"
  job=$(as_user sbatch --parsable -w n1 --output="$IT_SUBMIT/%j.out" --aq-requirements="$file" --wrap \
    "touch $IT_SUBMIT/up; until [ -e $IT_SUBMIT/down ]; do sleep 0.1; done; exec python -c 'import aq_vcs'")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/up"
  run -0 it_gc n1 # what was used is noted
  age "$AQ_TEST_USER"
  age "$AQ_OTHER_USER"
  run -0 it_gc n1
  echo "$output"
  assert_contains "$output" "private to $AQ_OTHER_USER"
  assert_equal "$(n_private "$AQ_TEST_USER") $(n_private "$AQ_OTHER_USER")" "1 0"
  name=$(name_of "$AQ_TEST_USER")
  touch "$IT_SUBMIT/down"
  it_wait "$job"
  it_job_is COMPLETED "$job"
  run -0 it_gc n1 # its use is noted
  age "$AQ_TEST_USER"
  run -0 it_gc n1
  assert_contains "$output" "$name"
  assert_equal "$(n_private "$AQ_TEST_USER")" 0
  it_limits
}

@test "a repository of the user's own, built by setuptools; what conda brings stays" {
  local repository=$IT_SUBMIT/repository file
  mkdir -p "$repository/part"
  cat >"$repository/part/pyproject.toml" <<'TOML'
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "aq-part"
version = "3.1"
dependencies = ["six"]
[tool.setuptools]
py-modules = ["aq_part"]
TOML
  echo 'WHAT = "part"' >"$repository/part/aq_part.py"
  chown -R "$AQ_TEST_USER" "$repository"
  as_user -C "$repository" sh -c 'git init --quiet && git add . && git -c user.name=x -c user.email=x@example.org commit --quiet -m x && git tag v1'
  file=$(it_file part.yaml <<<"dependencies: [python=3.9, setuptools, six, {pip: ['aq-part @ git+file://$repository@v1#subdirectory=part']}]")
  runs "$AQ_TEST_USER" "$file" python -c 'import aq_part, six; print(aq_part.WHAT)'
  assert_equal "$status" 0
  assert_equal "$output" part
  # as conda's package is: pip has not replaced it
  run -0 aq --node n1 verify
  run -0 aq --node n1 show --json --private "$AQ_TEST_USER" "$(mine "$AQ_TEST_USER" |
    python3 -c 'import json,sys; print(max(json.load(sys.stdin)["environments"], key=lambda e: e["created"])["name"])')"
  python3 -c 'import json,sys; p={q["name"]: q for q in json.loads(sys.argv[1])["packages"]}
assert p["aq-part"]["kind"] == "vcs" and p["six"]["kind"] == "conda", p
assert p["aq-part"]["url"].endswith("@" + p["aq-part"]["sha256"] + "#subdirectory=part"), p' "$output"
}

@test "user_quota is of both: what is private goes first, or nothing is built" {
  local file
  runs "$AQ_TEST_USER" "$(vcs)" true
  assert_equal "$status" 0
  it_limits "user_quota = 10M"
  file=$(asks quota "aq-vcs @ $(url aq-vcs)" six)
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 125
  assert_contains "$stderr" "'user_quota' allows"
  it_limits "user_quota = 10M" "grace = 0"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 # who makes byte-code uses it
  runs "$AQ_TEST_USER" "$file" true
  assert_equal "$status" 0
  assert_equal "$(n_private "$AQ_TEST_USER")" 1
  it_limits
}

@test "two jobs of one user at once build it once" {
  local file job
  file=$(asks twice "aq-vcs @ $(url aq-vcs)" idna)
  job=$(as_user sbatch --parsable -w n1 --array=1-2 --output="$IT_SUBMIT/%A_%a.out" --aq-requirements="$file" --wrap \
    'echo "ran $AQ_RESOLUTION"')
  it_wait "$job"
  it_job_is COMPLETED "$job"
  assert_equal "$(grep -h '^ran ' "$IT_SUBMIT/$job"_*.out | sort | tr '\n' ' ')" "ran created ran reused "
}

@test "a workflow is one in each domain, and aq workflow list has both" {
  local file
  file=$(asks twice "aq-vcs @ $(url aq-vcs)" idna)
  run -0 --separate-stderr as_user srun -w n1 --aq-workflow=mine --aq-requirements="$file" true
  run -0 --separate-stderr as_user srun -w n1 --aq-workflow=mine --aq-requirements="$(it_small)" true
  wait_while "$IT_BEHIND_SECONDS" it_has_builders n1
  run -0 --separate-stderr aq --node n1 workflow list --json
  assert_equal "$(jq -c '[.workflows[] | [.name, .private_to]] | sort' <<<"$output")" \
    "[[\"mine\",null],[\"mine\",$(id -u "$AQ_TEST_USER")]]"
  run -0 --separate-stderr aq --node n1 workflow list
  assert_equal "$(grep -c ', private$' <<<"$output")" 1
}
