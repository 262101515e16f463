#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What `aq stats` says after a history that is known, to the last unit.
# shellcheck disable=SC2154 # bats sets stderr

load lib
setup_file() { it_up; }
teardown_file() { it_down; }
setup() {
  it_begin
  it_open
  CACHE=$(it_cache n1)
}
teardown() { it_open && it_end; }

# stats JQ: what that filter finds in it.
stats() { aq --node n1 stats --json | jq -c "$1"; }

# outcomes: those that there were, as {"hit":2}
outcomes() {
  stats '.counts | with_entries(select(.value > 0 and
    (.key | IN("hit", "created", "linked", "inherited", "waited", "bound", "refused", "fault", "ended"))))'
}

runs() { as_user srun -w n1 --aq-requirements="$1" true; }

# environment JQ: of the only one.
environment() { aq --node n1 list --json | jq -r ".environments[0] | $1"; }

impossible() { it_file impossible.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo=99]}'; }

@test "nothing yet: zeros, and nothing is made for the answer" {
  it_forget
  run -0 --separate-stderr aq --node n1 stats --json
  assert_equal "$(jq -c '[.counts[]] | add' <<<"$output") $(jq -c '[.since, .references, .last_collection]' <<<"$output")" "0 [0,0,0]"
  [[ ! -e $CACHE && ! -e $IT_DIR/nodes/n1/run ]]
}

@test "one built, two hits, a refusal that is remembered" {
  it_forget
  runs "$(it_small)"
  runs "$(it_small)"
  runs "$(it_small)"
  run -125 --separate-stderr runs "$(impossible)"
  run -125 --separate-stderr runs "$(impossible)"
  assert_equal "$(outcomes)" '{"hit":2,"created":1,"refused":2}'
  ms=$(environment .build_ms)
  assert_equal "$(stats '[.counts.build_ms, .counts.build_bytes]')" "[$ms,$(environment .size_own)]"
  assert_equal "$(stats '[.counts.reuse_ms, .counts.reuse_bytes]')" \
    "[$((2 * ms)),$((2 * $(environment '.size_own + .size_shared')))]"
  assert_equal "$(stats '.environments.created | [.n, .size_own, .size_shared]')" \
    "$(environment '[1, .size_own, .size_shared] | tojson')"
  assert_equal "$(stats '[.references, .bases, .pinned]')" '[0,0,0]'
  it_begin # its epilogs, too
  assert_equal "$(stats '.counts | [.prologs, .stages, .epilogs]')" '[5,2,5]'
  assert_equal "$(stats '.counts | [.prolog_us, .stage_us, .epilog_us] | map(. > 0 and . < 60000000) | all')" true
  run -0 aq --node n1 stats
  assert_contains "$output" "hooks took"
  # no step waited for the disk: all of it is in run_dir
  assert_equal "$(sqlite3 "$CACHE/cache.db" 'SELECT count(*) FROM counts')" 0
}

@test "a collection moves the counts to the disk, counts itself, and loses none" {
  local before freed
  before=$(stats '.counts')
  printf 'max_size = 1\ngrace = 0\n' >>"$IT_DIR/etc/aq.conf"
  freed=$(it_gc n1 --json | jq '.freed + .caches_freed')
  sed -i '/^\(max_size\|grace\) /d' "$IT_DIR/etc/aq.conf"
  assert_equal "$(stats '[.counts.collected, .counts.collected_bytes]')" "[1,$freed]"
  assert_equal "$(stats '.counts | .collected = 0 | .collected_bytes = 0')" "$before"
  (($(stats .last_collection) > $(date +%s) - 60))
  # a boot takes no more than what was not moved
  it_begin
  rm -rf "$IT_DIR/nodes/n1/run"
  assert_equal "$(outcomes)" '{"hit":2,"created":1,"refused":2}'
  # the database's loss takes all
  rm "$CACHE/cache.db"
  assert_equal "$(outcomes)" '{}'
}

@test "who waits for another's build, another way to the same packages, a cancel" {
  local first second
  it_forget
  it_gate before link
  first=$(it_submit --aq-requirements="$(it_small)" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  second=$(it_submit --aq-requirements="$(it_small)" --wrap true)
  wait_until "$IT_JOB_SECONDS" is_waiting "$second"
  it_open
  it_wait "$first"
  it_wait "$second"
  assert_equal "$(outcomes)" '{"created":1,"waited":1}'
  # a spec that says no more, and only other variables
  runs "$(it_file other.yaml <<<'{channels: [conda-forge], dependencies: ["activate-demo>=0"]}')"
  runs "$(it_file third.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo], variables: {X: y}}')"
  assert_equal "$(outcomes)" '{"hit":1,"created":1,"waited":1,"bound":1}'
  it_gate before solve
  first=$(it_submit --aq-requirements="$(it_file gone.yaml <<<'{channels: [conda-forge], dependencies: [tzdata]}')" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  scancel "$first"
  it_wait "$first"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  assert_equal "$(outcomes)" '{"hit":1,"created":1,"waited":1,"bound":1,"ended":1}'
}

is_waiting() { grep -q waiting "$IT_SUBMIT/${1}_"*.out; }

@test "inheriting saves what creating takes, but for nothing that is not known" {
  it_forget
  aq --node n1 base add 3.9 --file "$(it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}')"
  runs "$(it_file layer.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, {pip: [joblib==1.4.2]}]}')"
  assert_equal "$(outcomes)" '{"created":1,"inherited":1}'
  # what is a base now is no example of what is created
  assert_equal "$(stats '[.counts.inherit_ms, .bases, .environments.base.n]')" '[0,1,1]'
  as_user srun -w n1 --aq-isolated --aq-requirements="$IT_SUBMIT/layer.yaml" true
  runs "$(it_file layer2.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, {pip: [threadpoolctl]}]}')"
  assert_equal "$(outcomes)" '{"created":2,"inherited":2}'
  (($(stats .counts.inherit_ms) > 0))
  # a sync of what is there is no hit
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base.yaml"
  assert_equal "$(outcomes)" '{"created":2,"inherited":2}'
}

@test "stats while jobs run: references, and nobody waits for long" {
  local job
  job=$(it_submit -w n1 --aq-requirements="$(it_small)" --wrap "while [ ! -e $IT_SUBMIT/go ]; do sleep 0.1; done")
  wait_until "$IT_JOB_SECONDS" it_job_is RUNNING "$job"
  wait_until "$IT_JOB_SECONDS" is_referenced
  touch "$IT_SUBMIT/go"
  it_wait "$job"
}

is_referenced() { (($(stats .references) >= 1)); }

@test "Prometheus' own parser reads it, from a file that is replaced at once" {
  local out=$IT_DIR/textfiles/aq.prom
  mkdir "$IT_DIR/textfiles"
  echo stale >"$out"
  aq --node n1 stats --prometheus --output "$out"
  assert_equal "$(stat -c '%a %U' "$out") $(ls -A "$IT_DIR/textfiles")" "644 root aq.prom"
  run -0 --separate-stderr "$("$AQ_LIB/get-tools")/bin/python" -I - "$out" "$(aq --node n1 stats --json)" <<'PY'
import json, sys
from prometheus_client.parser import text_string_to_metric_families

said = json.loads(sys.argv[2])
families = {f.name: f for f in text_string_to_metric_families(open(sys.argv[1]).read())}
for f in families.values():
    assert f.documentation and f.type in ("counter", "gauge"), f
    assert f.samples, f
values = {(s.name, *s.labels.values()): s.value for f in families.values() for s in f.samples}
counts = said["counts"]
for outcome in ("hit", "created", "linked", "inherited", "waited", "bound", "refused", "fault", "ended"):
    assert values["aq_lookups_total", outcome] == counts[outcome], outcome
assert values["aq_build_seconds_total",] == counts["build_ms"] / 1000
assert values["aq_saved_seconds_total", "reuse"] == counts["reuse_ms"] / 1000
assert values["aq_saved_bytes_total", "inheritance"] == counts["inherit_bytes"]
assert values["aq_environments", "base"] == said["environments"]["base"]["n"]
assert values["aq_min_free_bytes",] == said["min_free"]
assert values["aq_free_bytes",] > 0
assert families["aq_info"].samples[0].labels == {"version": "0.1.0", "node": "n1", "cache_dir": said["cache_dir"]}
PY
}
