#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# docs/json.md against what every verb prints; see lib.bash.

load lib

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

# slurm: one that has node n1, and runs what is to be built.
slurm() {
  mkdir -p bin
  printf '#!/bin/sh\necho n1 debug up\n' >bin/sinfo
  printf '#!/bin/sh\necho n1\n' >bin/scontrol
  printf '#!/bin/sh\nprintf "%%s\\n" created /envs/x abc\n' >bin/srun
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
    slurm
    say "build --nodes" build --nodes n1 req.yaml
    printf '#!/bin/sh\necho no >&2; exit 1\n' >bin/srun
    say "build --nodes" build --nodes n1 req.yaml || :
    mkdir -p fetched
    say fetch fetch req.yaml --into fetched
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
    aq gc >/dev/null
    run_dir=run
    [[ $EUID -eq 0 ]] || run_dir=home/.cache/slurm-aq/run
    boot=$(</proc/sys/kernel/random/boot_id)
    for step in 0 4294967291; do
      printf '%-36s %064d %-39s\n' "$boot" 0 "${NAMES[2]}" >"$run_dir/leases/7.$step.4294967295.n1"
      chmod 600 "$run_dir/leases/7.$step.4294967295.n1"
    done
    # a job as a whole holds what serves its request, whichever that is
    echo "holds $boot $(aq show "${NAMES[2]}" --json | jq -r .digest)" >"$run_dir/jobs/8.n1"
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
