#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Lock files: what `aq show --lock` prints is a request for the same
# environment, whoever reads it.
# shellcheck disable=SC2154 # bats sets stderr

load lib
setup_file() {
  it_up
  it_examples
  install -d -o "$AQ_TEST_USER" -g "$AQ_TEST_USER" "$IT_SUBMIT/home" "$IT_SUBMIT/home2"
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

# aq_in HOME ARGUMENT...: aq as the test user, whose cache is below HOME.
aq_in() {
  as_user -C "$IT_SUBMIT" HOME="$IT_SUBMIT/$1" XDG_CACHE_HOME= \
    AQ_CONF="$IT_DIR/etc/aq.conf" "$IT_INSTALL/bin/aq" "${@:2}"
}

# lock_of FILE: build it in the first cache, leave its lock in FILE.lock.txt.
lock_of() {
  aq_in home build "$1" >/dev/null
  aq_in home show --lock "$1" | it_file "$1.lock.txt" >/dev/null
}

# same_environment FILE: FILE's lock file leads to FILE's environment, by
# another key; and in an empty cache to one of the same lock.
same_environment() {
  local of_file of_lock elsewhere
  lock_of "$1"
  of_file=$(aq_in home build --json "$1")
  of_lock=$(aq_in home build --json "$1.lock.txt")
  elsewhere=$(aq_in home2 build --json "$1.lock.txt")
  assert_equal "$(jq -r .prefix <<<"$of_lock")" "$(jq -r .prefix <<<"$of_file")"
  assert_equal "$(jq -r .lock <<<"$of_lock")" "$(jq -r .lock <<<"$of_file")"
  [[ $(jq -r .key <<<"$of_lock") != $(jq -r .key <<<"$of_file") ]]
  assert_equal "$(jq -r .lock <<<"$elsewhere")" "$(jq -r .lock <<<"$of_file")"
  # and so on: it prints itself
  assert_equal "$(aq_in home2 show --lock "$1.lock.txt")" "$(<"$IT_SUBMIT/$1.lock.txt")"
}

@test "conda packages: one lock, one environment" {
  same_environment req.yaml
  run -1 grep -c '^# pip' "$IT_SUBMIT/req.yaml.lock.txt"
}

@test "wheels: one lock, one environment" {
  same_environment pip.yaml
  run -0 grep '^# pip scikit-learn @ ' "$IT_SUBMIT/pip.yaml.lock.txt"
}

@test "srun takes a lock file" {
  lock_of req.yaml
  run -0 --separate-stderr as_user srun --aq-requirements="$IT_SUBMIT/req.yaml.lock.txt" \
    printenv AQ_RESOLUTION AQ_LOCK
  assert_equal "${lines[0]}" created
  assert_equal "${lines[1]}" "$(aq_in home build --json req.yaml | jq -r .lock)"
  run -0 --separate-stderr as_user srun --aq-requirements="$IT_SUBMIT/req.yaml" printenv AQ_LOCK
  assert_equal "$output" "${lines[0]}"
}

@test "what is not of the site's channels ends srun before anything is queued" {
  local file
  file=$(it_file foreign.txt <<LOCK
@EXPLICIT
https://conda.anaconda.org/conda-forge/noarch/tzdata-2024b-0.conda#$(printf '%064d' 0)
LOCK
  )
  run -1 --separate-stderr as_user srun --aq-requirements="$file" true
  assert_contains "$stderr" "foreign.txt:2:1: a package of a channel that is not in the administrator's map: write 'file://"
}

@test "a hash that the channel does not have is refused" {
  it_needs_bundled "it names the hash"
  local file
  lock_of req.yaml
  file=$(sed "s/#sha256:.*/#sha256:$(printf '%064d' 0)/" "$IT_SUBMIT/req.yaml.lock.txt" | it_file forged.txt)
  run -1 --separate-stderr aq_in home build "$file"
  assert_contains "$stderr" "$(printf '%064d' 0)"
}

# rattler_reads FILE: what its own parser finds in FILE's lock file.
rattler_reads() {
  "$("$AQ_LIB/get-tools")/bin/python" -I - "$IT_SUBMIT/$1.lock.txt" <<'PY' | sort
import sys
from pathlib import Path

from rattler.explicit_environment import ExplicitEnvironmentSpec

spec = ExplicitEnvironmentSpec.from_path(Path(sys.argv[1]))
print(f"platform {spec.platform}")
for package in spec.packages:
    url, _, sha256 = package.url.partition("#sha256:")
    print(url, sha256)
PY
}

@test "rattler reads the same packages in it" {
  lock_of req.yaml
  run -0 diff <(rattler_reads req.yaml) <(
    {
      echo "platform linux-64"
      aq_in home show --json req.yaml | jq -r '.packages[] | select(.kind == "conda") | "\(.url) \(.sha256)"'
    } | sort
  )
}
