#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# aq as administrators use it, to keep a cache; see lib.bash.

load lib

@test "doctor says what is wrong and what to do, in text and JSON" {
  echo 'chanels = x' >>aq.conf
  run -3 --separate-stderr aq doctor
  has "$output" "aq.conf:6: unknown key 'chanels'"
  has "$output" "-> write 'channels'"
  has "${lines[-1]}" " errors, "
  run -3 --separate-stderr aq doctor --json
  jq -e '.schema == 1 and .errors > 0 and ([.findings[] | select(.level == "error")] | length) == .errors
    and ([.findings[] | select(.level == "warning")] | length) == .warnings
    and (.findings | map(select(.level != "ok")) | all(.remedy != null))' <<<"$output"
  # even where no other verb starts
  echo 'failure_ttl = soon' >aq.conf
  run -3 --separate-stderr aq doctor
  has "$output" "aq.conf:1"
  has "$output" "aq.conf cannot be read"
}

@test "gc and pin in a cache of one's own, in text and JSON" {
  aq build req.yaml
  name=$(aq list --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["environments"][0]["name"])')
  run -4 --separate-stderr aq pin 0123456789abcdef0123-1
  has "$stderr" "0123456789abcdef0123-1"
  echo "max_age = 0" >>aq.conf # the stand-in's are old
  run -0 aq gc
  has "$output" "0 environments collected"
  printf 'max_size = 1\ngrace = 0\n' >>aq.conf
  run -0 aq pin "$name"
  has "$output" "$name is pinned"
  run -0 aq gc
  has "$output" "0 environments collected"
  has "$output" "max_size and min_free ask for"
  # the pin outlives the database
  cache=$(aq list --json | jq -r .cache_dir)
  rm "$cache/cache.db"
  aq gc
  run -0 aq list --json
  has "$output" '"pinned": true'
  aq unpin "$name"
  run -0 --separate-stderr aq gc --dry-run --json
  [[ $(python3 -c 'import json,sys; a = json.loads(sys.argv[1]); print(a["schema"], a["dry_run"], [(v["name"], v["reason"]) for v in a["collected"]])' "$output") == "1 True [('$name', 'room')]" ]]
  run -0 aq gc --max-freed 0
  has "$output" "0 environments collected"
  run -0 aq gc
  has "$output" "$name"
  has "$output" "1 environments collected"
  [[ -z $(ls -A "$cache/envs") && -z $(ls "$cache/trash") && -z $(ls -A "$cache/meta") ]]
  aq build req.yaml
  aq gc
}

@test "a newer version's cache is left alone, and whoever needs it is told" {
  local verb before db
  aq build req.yaml
  db=$(aq list --json | jq -r .cache_dir)/cache.db
  printf '\0\0\0\143' | dd of="$db" bs=1 seek=60 conv=notrunc status=none # user_version: 99
  before=$(sha256sum "$db")
  for verb in list stats verify 'verify --repair' gc 'gc --dry-run' 'show req.yaml' 'build req.yaml' 'explain req.yaml'; do
    # shellcheck disable=SC2086 # words
    run -3 --separate-stderr aq $verb
    has "$stderr" "cache.db': it is a newer version's (schema 99, this one knows "
    has "$stderr" "), and is left alone: if slurm-aq is being upgraded here try again, else install that version"
  done
  run -125 --separate-stderr aq run req.yaml -- true
  has "$stderr" "it is a newer version's"
  [[ $(grep -c resolving <<<"$stderr") -le 1 ]] # it is not tried again
  [[ $(sha256sum "$db") == "$before" && ! -e $db.corrupt-1 ]]
}

@test "stats of nothing is zeros, and makes nothing" {
  run -0 --separate-stderr aq stats
  has "$output" "look-ups      0"
  has "$output" "environments  0"
  has "$output" "last: never"
  [[ -z $stderr && ! -e lib && ! -e home/.cache ]]
}

@test "stats in text and JSON: hits, what they saved, what there is, a collection" {
  aq build req.yaml # the stand-in counts nothing: 1.5 s, 2.5 MB
  aq run req.yaml -- true
  aq run req.yaml -- true
  for moved in false true; do
    run -0 aq stats
    has "$output" "look-ups      2, 2 hits (100 %)"
    has "$output" "saved         3.0 s and 5.0 MB by reuse"
    lacks "$output" "inheritance"
    has "$output" "environments  1, 1 created; 0 pinned"
    has "$output" "2.5 MB of their own"
    jq -e '.schema == 1 and .counts.hit == 2 and .counts.reuse_ms == 3000 and .counts.reuse_bytes == 5000000
      and .counts.refused == 0 and .environments.created == {n: 1, size_own: 2500000, size_shared: 0}
      and .free > 0 and .since > 1000000000' <<<"$(aq stats --json)"
    [[ $(aq stats --json | jq '.last_collection > 0') == "$moved" ]]
    echo "max_age = 0" >>aq.conf # the stand-in's are old
    aq gc >/dev/null
  done
  # explain, show and list look nothing up that would be used
  aq explain req.yaml && aq show req.yaml && aq list
  jq -e '.counts.hit == 2' <<<"$(aq stats --json)"
}

@test "stats --prometheus has lines of its format only, and a type for each" {
  run -0 --separate-stderr aq stats --prometheus
  text=$output
  run -1 grep -vE '^(# (HELP aq_[a-z_]+ .+|TYPE aq_[a-z_]+ (counter|gauge))|aq_[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? [0-9.]+)$' <<<"$text"
  [[ $(sed -n 's/^aq_\([a-z_]*\).*/\1/p' <<<"$text" | sort -u) == "$(sed -n 's/^# TYPE aq_\([a-z_]*\) .*/\1/p' <<<"$text" | sort)" ]]
  # aq(1) has each of them
  page=$(dirname "$BATS_TEST_FILENAME")/../../docs/man/aq.1
  while read -r name; do
    grep -qE "^\.It (.* )?$name( |\$)" "$page" || { echo "$name" && return 1; }
  done < <(sed -n 's/^# TYPE \(aq_[a-z_]*\) .*/\1/p' <<<"$text")
  # counters, and nothing else, are called totals
  [[ $(sed -n 's/^# TYPE \(aq_[a-z_]*_total\) .*/\1/p' <<<"$text") == "$(sed -n 's/^# TYPE \(.*\) counter$/\1/p' <<<"$text")" ]]
}

@test "stats --output replaces the file at once, whoever reads it" {
  umask 077
  mkdir out
  echo old >out/aq.prom
  exec 9<out/aq.prom
  run -0 --separate-stderr aq stats --prometheus --output out/aq.prom
  [[ -z $output && -z $stderr && $(cat <&9) == old ]]
  [[ $(ls -A out) == aq.prom && $(stat -c %a out/aq.prom) == 644 ]]
  has "$(<out/aq.prom)" 'aq_lookups_total{outcome="hit"} 0'
  cd out
  aq stats --json --output here.json
  jq -e .schema here.json
  # and leaves nothing where it cannot
  mkdir directory
  run -3 --separate-stderr aq stats --output directory
  has "$stderr" "cannot write 'directory'"
  run -3 --separate-stderr aq stats --output absent/aq.prom
  has "$stderr" "absent/aq.prom"
  [[ -z $(ls -A directory) && $(ls -A) == $'aq.prom\ndirectory\nhere.json' ]]
}

# sealed: build one that verifies, its name in $name, its prefix in $prefix.
sealed() {
  request seal
  sed -i "s/numpy >= 2/numpy >= ${1-2}/" req.yaml
  prefix=$(aq build req.yaml --json 2>/dev/null | jq -r .prefix)
  name=${prefix##*/}
}

# cache: where it is.
cache() { dirname "$(dirname "$prefix")"; }

@test "verify says that all is well, and what is not, in text and JSON" {
  local other
  run -0 aq verify # of no cache
  sealed 1
  other=$name
  sealed
  run -0 --separate-stderr aq verify
  [[ $output == "2 environments, all of them are as their rows say" && -z $stderr ]]
  run -0 --separate-stderr aq verify --json
  jq -e '.schema == 1 and .findings == [] and .contents == false and .environments == 2
    and .left == 0 and .trash == 0 and .half_built == 0' <<<"$output"
  chmod 644 "$prefix/bin/hello"
  run -3 --separate-stderr aq verify
  [[ ${lines[0]} == "$name: 'bin/hello' has mode 0644, not 0444" ]]
  [[ ${lines[1]} == "2 environments, 1 findings, 0 repaired" ]]
  run -3 --separate-stderr aq verify --json "${name:0:8}"
  jq -e --arg name "$name" '.environments == 1 and .left == 1 and (.findings | length) == 1
    and (.findings[0] | .env == $name and .finding == "seal" and .path == "bin/hello"
      and .package == null and .repaired == false and .not_repaired == null)' <<<"$output"
  run -0 aq verify "$other"
  run -4 --separate-stderr aq verify 0123456789abcdef0123-1
  has "$stderr" "no environment is named"
}

@test "verify --contents names package and file, and no control characters" {
  sealed
  # the stand-in installs no package
  run -3 aq verify --contents
  has "$output" "$name: package 'demo' has no record, which its lock has"
  chmod u+w "$prefix/bin"
  touch "$prefix/bin/"$'a\n\033[2Jb'
  chmod 444 "$prefix/bin/"$'a\n\033[2Jb'
  chmod 555 "$prefix/bin"
  run -3 aq verify --contents
  lacks "$output" $'\033'
  has "$output" "$name: 'bin/a\\x0a\\x1b[2Jb' is of no package"
  run -3 --separate-stderr aq verify --contents --json
  jq -e '[.findings[].path] | contains(["bin/a\n\u001b[2Jb"])' <<<"$output"
}

@test "verify --repair leaves what is used, and tells so" {
  local run_dir=run
  sealed
  chmod 644 "$prefix/bin/hello"
  rm -r "$(cache)/meta/$name"
  [[ -d $run_dir ]] || run_dir=$(cache)/run
  exec 8>"$run_dir/locks/hold-$name"
  flock -s 8
  run -3 --separate-stderr aq verify --repair
  has "$output" "it has no manifest in meta/; not repaired: "
  has "$output" "1 environments, 2 findings, 0 repaired"
  [[ -d $prefix ]]
  exec 8>&-
}

@test "verify --repair adopts, drops, and sets a damaged database aside" {
  local cache
  sealed
  cache=$(cache)
  dd if=/dev/urandom of="$cache/cache.db" bs=1 seek=4096 count=2000 conv=notrunc 2>/dev/null
  run -3 --separate-stderr aq verify
  has "$output" "cache.db is damaged: "
  has "$output" " findings, 0 repaired"
  [[ ! -e $cache/cache.db.corrupt-1 ]]
  run -0 --separate-stderr aq verify --repair
  has "$output" "1 findings, 1 repaired"
  [[ -e $cache/cache.db.corrupt-1 ]]
  run -0 aq verify
  mkdir "$cache/envs/0123456789abcdef0123-1"
  run -3 aq verify
  has "$output" "0123456789abcdef0123-1: 'envs/0123456789abcdef0123-1' is there without a row and without a manifest"
  run -0 aq verify --repair
  [[ ! -e $cache/envs/0123456789abcdef0123-1 && -d $prefix ]]
  run -0 aq verify
  has "$output" "1 in trash/ and 0 half built wait to be removed"
}

@test "gc takes what is over a user's quota, and says so" {
  request for:1234
  aq build req.yaml
  name=$(aq list --json | jq -r '.environments[0] | select(.uid == 1234) | .name')
  printf 'max_age = 0\ngrace = 0\nuser_quota = 2500000\n' >>aq.conf
  run -0 aq gc
  has "$output" "0 environments collected"
  sed -i 's/^user_quota.*/user_quota = 2M/' aq.conf
  run -0 aq gc --dry-run
  has "$output" "$name"
  has "$output" " quota "
  aq pin "$name"
  run -0 aq gc
  has "$output" "0 environments collected"
  aq unpin "$name"
  run -0 aq gc --json
  jq -e '.collected[0].reason == "quota"' <<<"$output"
}

@test "a node without workflows, and names that are none" {
  run -0 --separate-stderr aq workflow list
  [[ $output == "no workflows on this node" ]]
  run -0 --separate-stderr aq workflow list --json
  jq -e '.schema == 1 and .workflows == []' <<<"$output"
  run -4 --separate-stderr aq workflow show flow
  has "$stderr" "there is no workflow 'flow' on this node"
  run -1 --separate-stderr aq workflow remove "a b"
  has "$stderr" "'a b' is no name of a workflow"
  [[ ! -e lib && ! -e run ]]
}

@test "root lists, shows and removes the workflows of the node" {
  ((EUID == 0)) || skip "the node's cache is root's"
  aq build req.yaml
  key=$(aq show --json req.yaml | jq -r .key)
  digest=$(aq show --json req.yaml | jq -r .digest)
  name=$(aq show --json req.yaml | jq -r .name)
  none=$(printf '0%.0s' {1..64})
  rows "INSERT INTO workflows VALUES(0, 'flow', '$key', '$digest', 1700000000123456789)" \
    "INSERT INTO workflows VALUES(4000000000, 'flow', '$none', '$none', 1700000000000000000)" \
    "INSERT INTO workflows VALUES(4000000000, 'old', '', '', 5)"
  run -0 --separate-stderr aq workflow list
  has "${lines[0]}" "NAME"
  has "${lines[1]}" "flow                 root         $name     ${key:0:12} ready"
  has "${lines[2]}" "flow                 4000000000   -                          000000000000 gone"
  [[ ${#lines[@]} == 3 ]]
  run -0 --separate-stderr aq workflow list --json --user root
  jq -e --arg name "$name" --arg key "$key" --arg digest "$digest" '.schema == 1 and .workflows ==
    [{name: "flow", user: "root", uid: 0, environment: $name, key: $key, digest: $digest,
      submitted: 1700000000, state: "ready", private_to: null}]' <<<"$output"
  run -1 --separate-stderr aq workflow show flow
  has "$stderr" "several users have a workflow 'flow'"
  run -1 --separate-stderr aq workflow show flow --user no-such-account
  has "$stderr" "no account 'no-such-account'"
  run -0 --separate-stderr aq workflow show flow --user 0
  has "$output" "environment $name"
  has "$output" "request     aq-request"
  run -0 --separate-stderr aq workflow show flow --user 4000000000 --json
  jq -e '.schema == 1 and .environment == null and .state == "gone" and .request == null' <<<"$output"
  [[ $(aq workflow show flow --user root --json | jq -r .request) == "$(aq show --json req.yaml | jq -r .request)" ]]
  run -4 --separate-stderr aq workflow show old
  run -1 --separate-stderr aq workflow remove flow
  run -0 --separate-stderr aq workflow remove flow --user root --json
  jq -e '.schema == 1 and (.nodes | length == 1 and .[0].removed)' <<<"$output"
  run -4 --separate-stderr aq workflow remove flow --user root
  run -0 --separate-stderr aq workflow remove flow
  has "$output" ": removed"
  run -2 --separate-stderr aq workflow remove flow --nodes n1
}

@test "others remove theirs by a job on each node" {
  local other=(env)
  if ((EUID == 0)); then # somebody else, where they may be
    cd "$(mktemp -d /tmp/aq-others.XXXXXX)" || return
    other=(setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$PWD" AQ_CONF="$PWD/aq.conf")
    cp "$AQ_CONF" .
    chown 65534:65534 .
    "${other[@]}" test -x "$BUILD/aq"
  fi
  mkdir bin
  cat >bin/sinfo <<'SH'
#!/bin/sh
cd "${0%/*}/.." || exit
echo "$*" >>asked
printf '%s\n' 'n1 debug up' 'n1 other up' 'n2 off down' 'n2 long up' 'n3 off down'
SH
  cat >bin/srun <<'SH'
#!/bin/sh
cd "${0%/*}/.." || exit
echo "$*" >>asked
env | grep '^SLURM_' >>variables
case $* in *"--nodelist n2 "*) echo "srun: error: no" >&2; exit 1 ;; esac
SH
  printf '#!/bin/sh\nprintf "n1\\nn2\\n"\n' >bin/scontrol
  chmod -R a+rX bin && chmod 755 bin bin/*
  with=$PWD/bin:$PATH
  run -3 --separate-stderr "${other[@]}" PATH="$with" SLURM_CONF=/etc/x SLURM_JOB_ID=5 aq workflow remove flow
  [[ $output == $'n1: removed\nn2: not removed' ]]
  has "$stderr" "srun: error: no"
  has "$(<asked)" "--nodelist n1 --partition debug --aq-workflow flow --aq-workflow-remove true"
  has "$(<asked)" "--nodelist n2 --partition long --aq-workflow flow --aq-workflow-remove true"
  [[ $(wc -l <asked) == 3 && $(sort -u variables) == SLURM_CONF=/etc/x ]]
  has "$(head -n 1 asked)" "--responding"
  run -3 --separate-stderr "${other[@]}" PATH="$with" aq workflow remove flow --json --nodes n[1-2]
  jq -e '.schema == 1 and .nodes == [{node: "n1", removed: true}, {node: "n2", removed: false}]' <<<"$output"
  has "$(tail -n 3 asked)" "--nodes=n[1-2]"
  printf '#!/bin/sh\nexit 1\n' >bin/sinfo
  run -3 --separate-stderr "${other[@]}" PATH="$with" aq workflow remove flow
  has "$stderr" "'sinfo' failed"
  rm bin/s*
  run -3 --separate-stderr "${other[@]}" PATH="$PWD/bin" "$BUILD/aq" workflow remove flow
  has "$stderr" "'sinfo' is not there"
  ((EUID != 0)) || rm -r "$PWD"
}

@test "gc --wait collects after another collector, and one that waits is enough" {
  aq build req.yaml >/dev/null
  locks=$(find "$PWD" -type d -path '*/run/locks')
  exec 8>"$locks/collect"
  flock 8
  aq gc --wait >waited 8>&- 3>&- &
  wait_for is_locked "$locks/collect-next"
  run -0 --separate-stderr aq gc --wait
  has "$stderr" "somebody collects already"
  run -0 --separate-stderr aq gc
  has "$stderr" "somebody collects already"
  [[ ! -s waited ]]
  exec 8>&-
  wait $!
  has "$(<waited)" "environments collected"
}
# is_locked FILE: without locking it for a moment oneself.
is_locked() { [[ -e $1 ]] && grep -q ":$(stat -c %i "$1") " /proc/locks; }
