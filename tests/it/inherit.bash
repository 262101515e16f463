# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Requests over a base, and what comes of them.
# shellcheck disable=SC2034,SC2154 # $kind is for who loads this; bats sets output

# asks PIP...: a request for Python 3.9 with these pip requirements.
asks() {
  local item
  {
    printf 'dependencies:\n- python=3.9\n- pip\n- pip:\n'
    for item in "$@"; do printf '  - "%s"\n' "$item"; done
  } | it_file "asks-$BATS_TEST_NUMBER.yaml"
}

# build FILE [OPTION]...: its prefix in $prefix, how it was made in $kind.
build() {
  local file=$1
  shift
  aq --node n1 build "$@" --json "$file" >"$IT_DIR/answer" 2>"$IT_DIR/said"
  prefix=$(answer prefix)
  kind=$(answer resolution)
}

answer() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$IT_DIR/answer" "$1"; }

# in_env COMMAND...: in $prefix, as activation would leave it; as the test user,
# since root can write byte-code anywhere.
in_env() { as_user env -i PATH="$prefix/bin:/usr/bin:/bin" PYTHONNOUSERSITE=1 LANG=C.UTF-8 "$@"; }

# like_whole FILE IMPORT: the inherited environment has the versions that a
# whole one has of what is in both, and imports the same.
like_whole() {
  local whole mine theirs
  mine=$(in_env pip list --format=freeze --disable-pip-version-check | sort)
  run -0 in_env python -c "$2"
  local said=$output
  in_env python -m pip check
  build "$1" --isolated
  whole=$prefix
  theirs=$(in_env pip list --format=freeze --disable-pip-version-check | sort)
  run -0 in_env python -c "$2"
  assert_equal "$output" "$said"
  # of what the whole one has, the same versions
  assert_equal "$(comm -13 <(echo "$mine") <(echo "$theirs"))" ""
  [[ $whole != */envs/ ]]
}
