#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a person sees: aq in a real terminal, by tmux(1), which also says what is
# coloured there.
# shellcheck disable=SC2016 # the shell in the terminal expands

load lib

WIDTH=60

setup_file() {
  command -v tmux >/dev/null || skip "needs tmux"
}

# A shell of its own; every prompt says how the command before it ended.
open_terminal() {
  SOCKET=$(mktemp -u "$PWD/tmux-XXXXXX")
  tmux -S "$SOCKET" -f /dev/null new-session -d -x "$WIDTH" -y 20 \
    env -u NO_COLOR PS1='<$?> ' "$@" bash --norc --noprofile 3>&-
  wait_for shows '^<0>'
}

teardown() { tmux -S "$SOCKET" kill-server 2>/dev/null || :; }

types() { tmux -S "$SOCKET" send-keys -- "$@" Enter; }
screen() { tmux -S "$SOCKET" capture-pane -p "$@"; }
shows() { screen | grep -qE -- "$1"; }

@test "a build is a line that moves, no wider than the terminal, and gone at the end" {
  request "wait:$PWD/go"
  open_terminal
  types 'clear; aq run req.yaml -- echo done'
  wait_for shows '^[-/|\\] +[0-9]+ s  waiting for a test$'
  # it moves in its place: there is one of it, below the prompt's line
  [[ $(screen | grep -c 'waiting for a test') == 1 ]]
  touch go
  wait_for shows '^<0>$'
  # nor is any of it behind what is printed in its place
  [[ $(screen | head -n 1) == "done" ]]
  lacks "$(screen)" "waiting for a test"
}

@test "where the line would be wider than the terminal it is cut" {
  WIDTH=24
  request "wait:$PWD/go"
  open_terminal
  types 'clear; aq build req.yaml'
  wait_for shows '^[-/|\\] +[0-9]+ s  waiting fo'
  [[ $(screen | grep -c .) == 1 && $(screen | head -n 1 | wc -m) -le 24 ]]
  touch go
  wait_for shows '^<0>$'
  lacks "$(screen)" waiting
}

@test "what can be counted has a bar, and none in a pipe or where it has no room" {
  request "third:$PWD/go"
  open_terminal
  types 'clear; aq build req.yaml'
  wait_for shows '^[-/|\\] +[0-9]+ s  \[#{6}-{14}\] waiting for a test$'
  touch go
  wait_for shows '^<0>$'
  tmux -S "$SOCKET" kill-server
  sed -i s/numpy/numpy2/ req.yaml
  aq build req.yaml 2>said
  [[ $(<said) == *"aq: waiting for a test"* ]]
  lacks "$(<said)" 4/12
  rm go
  WIDTH=45
  sed -i s/numpy2/numpy3/ req.yaml
  open_terminal
  types 'clear; aq build req.yaml'
  wait_for shows '^[-/|\\] +[0-9]+ s  waiting for a test$'
  touch go
  wait_for shows '^<0>$'
}

@test "colours are a terminal's alone" {
  aq build req.yaml
  open_terminal
  types 'clear; aq list; aq show 0000'
  wait_for shows '^<4>$'
  screen -e >seen
  grep -qE $'^\033\\[1m *NAME' seen
  grep -qE $'^\033\\[31maq: \033\\[(0|39)m.*0000' seen
  types 'clear; aq list | cat; aq show 0000 2>&1 | cat'
  wait_for shows '^<0>$'
  lacks "$(screen -e)" $'\033'
}

@test "NO_COLOR and a dumb terminal get lines, as a pipe does" {
  local set n=0
  for set in NO_COLOR=1 TERM=dumb; do
    n=$((n + 1))
    request "wait:$PWD/go$n"
    sed -i "s/numpy/numpy$n/" req.yaml
    open_terminal "$set"
    types 'aq build req.yaml'
    wait_for shows '^aq: waiting for a test$'
    touch "go$n"
    wait_for shows '^created '
    wait_for shows '^<0>$'
    lacks "$(screen -e)" $'\033'
    types 'aq list; aq show 0000'
    wait_for shows '^<4>$'
    lacks "$(screen -e)" $'\033'
    shows "^aq: '0000' "
    tmux -S "$SOCKET" kill-server
  done
}

@test "a build that is interrupted ends, and so says the shell" {
  request "wait:$PWD/never"
  open_terminal
  types 'clear; aq build req.yaml'
  wait_for shows 'waiting for a test'
  tmux -S "$SOCKET" send-keys C-c
  wait_for shows '^<130>$'
  wait_for no_builder_is_left
}
no_builder_is_left() { ! pgrep -f "$AQ_BUILDER.*$PWD/aq.conf" >/dev/null; }

@test "mistakes say where, what, and what to write instead" {
  WIDTH=120
  open_terminal
  printf 'dependancies: [a]\n' >typo.yaml
  printf '# /// script\n# dependencies = ["numpy=2"]\n# ///\n' >fn.py
  printf 'numpy\n-e .\n' >requirements.txt
  types 'clear; for f in typo.yaml fn.py requirements.txt none.yaml; do aq check $f; done'
  wait_for shows '^<1>$'
  screen -e >seen
  grep -qF "typo.yaml:1:1: unknown key 'dependancies', did you mean 'dependencies'?" seen
  grep -qF "fn.py:2:19: 'numpy=2' is a conda spec: write it outside of pip's list, or '==' for pip" seen
  grep -qF "requirements.txt:2:1: '-e .' is an editable install of code that the nodes may not have: remove it" seen
  grep -qF "none.yaml:1:1: cannot open it: No such file or directory" seen
}
