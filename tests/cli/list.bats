#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# What aq tells of the environments that are there; see lib.bash.

load lib

@test "an empty cache is no error, and the line says what to do" {
  run -0 --separate-stderr aq list
  has "$output" "aq build FILE"
  run -0 aq list --json
  jq -e '.environments == []' <<<"$output"
}

@test "show of what is not there is 4" {
  run -4 --separate-stderr aq show abcd
  run -0 --separate-stderr aq build req.yaml
  run -4 --separate-stderr aq show abcd1
  has "$stderr" "'abcd1' is no environment"
  run -4 --separate-stderr aq show absent.yaml
  request "refuse"
  run -4 --separate-stderr aq show req.yaml
  has "$stderr" "has no environment yet"
}

@test "list and show tell the same of an environment" {
  aq build req.yaml
  run -0 aq list
  has "${lines[0]}" "NAME"
  has "${lines[1]}" "created   3.9.6          2 2.5 MB    0 B     0    0 "
  name=$(aq list --json | jq -r '.environments[0].name')
  key=$(aq build --json req.yaml | jq -r .key)
  by_name=$(aq show --json "$name")
  jq -e --arg key "$key" '.schema == 1 and .key == $key and
    (.packages | map(.name) == ["demo", "w"]) and
    (.activation[0] | .do == "prepend" and .name == "PATH")' <<<"$by_name"
  for what in "${name:0:4}" "$key" req.yaml; do
    [[ $(aq show --json "$what") == "$by_name" ]]
  done
  run -0 aq show req.yaml
  has "$output" "packages    demo 1.0"
  has "$output" "key         $key"
  [[ $(jq '.package_count == (.packages | length)' <<<"$by_name") == true ]]
}

@test "list is sorted as asked, in text and JSON, and marks what is marked" {
  three
  order() { aq list --json "$@" | jq -r '.environments[].name' | while read -r n; do
    for i in 0 1 2; do [[ ${NAMES[i]} != "$n" ]] || printf %s "$i"; done; done; }
  [[ $(order) == 012 && $(order --sort name) == 012 && $(order --reverse) == 210 ]]
  [[ $(order --sort own) == 210 && $(order --sort own --reverse) == 012 ]]
  [[ $(order --sort size) == 012 && $(order --sort size --reverse) == 210 ]]
  [[ $(order --sort uses) == 012 && $(order --sort uses --reverse) == 012 ]]
  [[ $(order --sort used) == 210 && $(order --sort created) == 012 ]]
  run -0 aq list --sort own
  [[ ${lines[1]} == "${NAMES[2]} "* && ${lines[2]} == *" obsolete" && ${lines[3]} == *" pinned" ]]
  aq list --json | jq -e '[.environments[] | [.pinned, .obsolete, .current_base, .references, .children]]
    == [[true, false, false, 0, 0], [false, true, false, 0, 0], [false, false, false, 0, 0]]'
  run -0 aq show "${NAMES[0]}"
  has "$output" "marked      pinned"
}

@test "list on a terminal has the columns that fit, and no line is longer" {
  three
  for width in 80 100 120; do
    on_terminal bash -c "stty cols $width; aq list" >wide
    [[ $(tr -d '\r' <wide | sed 's/\x1b\[[0-9]*m//g' | wc -L) -le $width ]]
  done
  has "$(<wide)" "PACKAGES"
  lacks "$(on_terminal bash -c 'stty cols 99; aq list')" "PACKAGES"
}

@test "list --shared is what everybody may know of the node's cache" {
  run -0 --separate-stderr aq list --shared
  has "$output" "no public index yet"
  aq list --shared --json | jq -e '.environments == [] and .written == 0'
  [[ $EUID -eq 0 ]] || skip "only root writes the index"
  three
  [[ $(stat -c %a run-public/index) == 644 ]]
  aq list --shared --json | jq -e --arg a "${NAMES[0]}" '.written > 0 and (.environments | length == 3) and
    (.environments[0] | .name == $a and .pinned and .package_count == 2 and .size_own == 10 and has("uses") == false) and
    (.environments[1] | .base == "99999999999999999999-9" and .obsolete)'
  [[ $(aq list --shared --json --sort own | jq -r '.environments[0].name') == "${NAMES[2]}" ]]
  [[ $(aq list --shared --json --reverse | jq -r '.environments[0].name') == "${NAMES[2]}" ]]
  run -0 aq list --shared
  has "${lines[0]}" "BUILT"
  lacks "$output" "USES"
  run -1 --separate-stderr aq list --shared --sort uses
  has "$stderr" "does not tell uses"
  # what is collected goes from it
  aq unpin "${NAMES[0]}"
  printf 'max_size = 1\ngrace = 0\nmax_age = 0\n' >>aq.conf
  aq gc
  aq list --shared --json | jq -e '.environments == []'
  echo x >>run-public/index
  run -3 --separate-stderr aq list --shared
  has "$stderr" "damaged"
}

@test "show --lock prints a file that conda clients take, and check too" {
  aq build req.yaml
  sum=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  run -0 --separate-stderr aq show --lock req.yaml
  [[ -z $stderr ]]
  diff - <(echo "$output") <<LOCK
# This file may be used to create an environment using:
# \$ conda create --name <env> --file <this file>
# platform: $(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m | sed 's/x86_64/64/')
@EXPLICIT
https://conda.example.org/noarch/demo-1.0-0.conda#sha256:$sum
# pip w @ https://pypi.example.org/w-2-py3-none-any.whl#sha256=$sum
LOCK
  name=$(aq list --json | jq -r '.environments[0].name')
  [[ $(aq show "${name:0:6}" --lock) == "$output" ]]
  run -4 --separate-stderr aq show --lock absent.yaml
  [[ -z $output ]]
}

@test "show --lock of what inherits has its base's packages too" {
  aq build req.yaml
  cp req.yaml base.yaml
  base=$(aq build --json base.yaml | jq -r .lock)
  request "inherit:$base"
  sed -i 's/numpy >= 2/scipy/' req.yaml # packages of its own: another key
  aq build req.yaml
  run -0 --separate-stderr aq show --lock req.yaml
  has "$output" "https://pypi.example.org/x-1-py3-none-any.whl"
  [[ $(grep -c /demo-1.0-0.conda <<<"$output") == 1 ]]
  [[ $(grep -c '^# pip w ' <<<"$output") == 1 ]]
  # without what the base has, nothing is printed
  name=$(aq show --json base.yaml | jq -r .name)
  cache=$(dirname "$(dirname "$(aq show --json base.yaml | jq -r .prefix)")")
  mv "$cache/meta/$name" away
  run --separate-stderr aq show --lock req.yaml
  [[ $status -ne 0 && -z $output ]]
}

@test "show --lock of what cannot be read prints nothing" {
  aq build req.yaml
  cache=$(dirname "$(dirname "$(aq show --json req.yaml | jq -r .prefix)")")
  rm "$cache"/meta/*/lock
  run -3 --separate-stderr aq show --lock req.yaml
  has "$stderr" "aq: "
  [[ -z $output ]]
}
