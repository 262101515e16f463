#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# What files aq reads as a request, and what it says of them; see lib.bash.

load lib

@test "check prints the normalised request" {
  run -0 --separate-stderr aq check req.yaml
  has "$output" "python      3.9.*"
  has "$output" "conda       numpy >=2"
  has "$output" "pip         demo-pkg==1"
  has "$output" "            OMP_NUM_THREADS=4"
  [[ -z $stderr ]]
}

@test "a requirements.txt and a Python file are the request of the req.yaml that says the same" {
  local digest
  echo '{python_version: ">=3.11", requirements: [numpy>=2, scikit-learn==1.6]}' >same.yaml
  digest=$(aq check --json same.yaml | jq -r .digest)
  cat >fn.py <<'PY'
# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit_learn == 1.6.0", "numpy>=2"]
# ///
raise SystemExit("it is read, not run")
PY
  [[ $(aq check --json fn.py | jq -r .digest) == "$digest" ]]
  echo '{requirements: [numpy>=2, scikit-learn==1.6]}' >same.yaml
  digest=$(aq check --json same.yaml | jq -r .digest)
  printf 'scikit_learn==1.6.0 # why\n-r more.txt\n' >requirements.txt
  echo 'numpy >= 2' >more.txt
  [[ $(aq check --json requirements.txt | jq -r .digest) == "$digest" ]]
  # and of every verb that takes one
  printf 'numpy >= 2 --hash=sha256:00\n' >hashed.txt
  run -0 --separate-stderr aq build hashed.txt
  has "$stderr" "warning: hashed.txt:1:1: '--hash' has no effect"
  sed 's/3.11/3.9/' fn.py >old.py
  run -0 --separate-stderr aq run old.py -- sh -c 'echo "$AQ_RESOLUTION"'
  [[ $output == created ]]
  echo 'scipi ==1' >>more.txt
  echo '-i https://index.example.org/simple' >>more.txt
  run -1 --separate-stderr aq check requirements.txt
  [[ $stderr == "more.txt:3:1: option '-i' is not supported: remove it, the administrator chooses where packages come from" ]]
  sed -i 's/dependencies/dependancies/' fn.py
  run -1 --separate-stderr aq check fn.py
  [[ $stderr == "fn.py:3:3: unknown key 'dependancies', did you mean 'dependencies'?" ]]
}

@test "check says of which domain a request is, and which rule refuses it" {
  echo 'requirements: ["a @ git+https://h.example/a@v1", b, --no-binary b]' >private.yaml
  run -1 --separate-stderr aq check private.yaml
  has "$stderr" "private.yaml:1:16: 'a @ git+https://h.example/a@v1' is a repository, which this site refuses (aq.conf's policy: vcs=refuse)"
  has "$stderr" "private.yaml:1:53: '--no-binary' is a build from source, which this site refuses (aq.conf's policy: source=refuse)"
  run -0 aq check req.yaml
  has "$output" "domain      shared"
  echo "policy = vcs=private source=private" >>aq.conf
  run -0 --separate-stderr aq check private.yaml
  has "$output" "no-binary   b"
  has "$output" "domain      private: a repository (vcs=private), a build from source (source=private)"
  run -0 --separate-stderr aq check private.yaml --json
  jq -e '.domain == "private" and .rules == ["vcs", "source"] and .no_binary == ["b"]
    and .pip == ["a @ git+https://h.example/a@v1", "b"]' <<<"$output"
  # what would let others use it is no rule
  echo "policy = source=shared" >>aq.conf
  run -3 --separate-stderr aq check req.yaml
  has "$stderr" "'source' cannot be 'shared'"
}

@test "check --json has every member that design.md promises" {
  run -0 --separate-stderr aq check req.yaml --json
  jq -e '.schema == 1 and (.digest | test("^[0-9a-f]{64}$")) and .python == "3.9.*"
    and .conda == ["numpy >=2"] and .pip == ["demo-pkg==1"]
    and .channels == ["conda-forge"] and .variables.OMP_NUM_THREADS == "4"
    and .warnings == []' <<<"$output"
}

@test "check tells the same digest for another spelling of the same request" {
  printf '%s\n' 'python_version: 3.9' 'channels: [conda-forge]' \
    'dependencies: ["NumPy>=2", {pip: ["demo.pkg == 1.0"]}]' \
    'variables: {OMP_NUM_THREADS: 4, BEHAVE: ok}' >other.yaml
  [[ $(aq check req.yaml --json | jq .digest) == $(aq check other.yaml --json | jq .digest) ]]
}

@test "check warns on standard error and in JSON" {
  echo 'platforms: [linux-64]' >>req.yaml
  run -0 --separate-stderr aq check --json req.yaml
  has "$stderr" "warning: req.yaml:4:1: "
  jq -e '.warnings | length == 1 and (.[0] | startswith("req.yaml:4:1: "))' <<<"$output"
}

@test "check names every error with its place, as editors read it" {
  printf '%s\n' 'dependancies: [x]' 'nonsense: 1' >bad.yaml
  run -1 --separate-stderr aq check bad.yaml
  has "$stderr" "bad.yaml:1:1: unknown key 'dependancies', did you mean 'dependencies'?"
  has "$stderr" $'\nbad.yaml:2:1: '
  [[ -z $output ]]
}

@test "check reads standard input" {
  run -0 aq check - <req.yaml
  has "$output" "demo-pkg==1"
}

@test "a file that is not there is an error of the input" {
  run -1 --separate-stderr aq check absent.yaml
  has "$stderr" "absent.yaml"
}

@test "hostile file names do not reach the terminal raw" {
  run -1 --separate-stderr aq check $'\033[2Jx.yaml'
  lacks "$stderr" $'\033'
}

@test "a lock file is a request, with every error in its place" {
  sum=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  channel=https://conda.example.org/conda-forge
  printf '%s\n' '# a comment' @EXPLICIT "$channel/noarch/demo-1.0-0.conda#sha256:$sum" \
    "# pip w @ https://pypi.example.org/w-2-py3-none-any.whl#sha256=$sum" >lock.txt
  run -0 --separate-stderr aq check lock.txt
  has "$output" "channels    conda-forge"
  has "$output" "conda       conda-forge/noarch::demo ==1.0 0[sha256=$sum]"
  has "$output" "pip         w==2"
  [[ -z $stderr ]]
  run -0 --separate-stderr aq check - <lock.txt
  printf '%s\n' "$channel/noarch/a-1-0.conda" "  https://other.example.org/x/noarch/b-1-0.conda#$sum" >>lock.txt
  run -1 --separate-stderr aq check lock.txt
  has "$stderr" "lock.txt:5:$((${#channel} + 20)): nothing where the package's SHA-256 belongs"
  has "$stderr" $'\nlock.txt:6:3: channel \'https://other.example.org/x\' is not in the administrator'
  [[ -z $output ]]
}
