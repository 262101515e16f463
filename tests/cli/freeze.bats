#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # bats sets stderr
# aq freeze, on environments that were never more than their metadata.

load lib

# conda_package PREFIX NAME VERSION CHANNEL [FILE]...: conda's record of it
conda_package() {
  local files
  mkdir -p "$1/conda-meta" "$1/bin"
  files=$(printf '%s\n' "${@:5}" | jq -R 'select(. != "")' | jq -s .)
  jq -n --arg name "$2" --arg version "$3" --arg url "$4/linux-64/$2-$3-0.conda" --argjson files "$files" \
    '{$name, $version, build: "0", $url, $files}' >"$1/conda-meta/$2-$3-0.json"
}

# wheel SITE NAME VERSION [DIRECT_URL]: what pip notes of it
wheel() {
  local info=$1/${2//-/_}-$3.dist-info
  mkdir -p "$info"
  printf 'Metadata-Version: 2.1\r\nName: %s\r\nVersion: %s\r\n\r\nName: not this\n' "$2" "$3" >"$info/METADATA"
  echo pip >"$info/INSTALLER"
  [[ -z ${4-} ]] || echo "$4" >"$info/direct_url.json"
}

conda_prefix() {
  P=$PWD/env
  SITE=$P/lib/python3.11/site-packages
  conda_package "$P" python 3.11.4 https://conda.example.org/conda-forge
  conda_package "$P" numpy 2.0.1 https://elsewhere.example.org/conda-forge lib/python3.11/site-packages/numpy-2.0.1.dist-info/METADATA
  wheel "$SITE" numpy 2.0.1
  wheel "$SITE" Scikit_Learn 1.6.0
  wheel "$SITE" pip 24.0
}

@test "a conda environment is frozen with its versions, and check accepts it" {
  conda_prefix
  run -0 --separate-stderr aq freeze "$P"
  [[ -z $stderr ]]
  [[ $output == "# what the conda environment in $P holds, by aq freeze
channels:
  - conda-forge
dependencies:
  - numpy ==2.0.1
  - python ==3.11.4
  - pip:
      - scikit-learn==1.6.0" ]]
  echo "$output" >frozen.yaml
  run -0 --separate-stderr aq check --json frozen.yaml
  jq -e '.python == "==3.11.4" and .conda == ["numpy ==2.0.1"] and .pip == ["scikit-learn==1.6"]
    and .channels == ["conda-forge"] and .warnings == []' <<<"$output"
}

@test "the environment is the one that PATH finds first; else the one that is said to be active" {
  conda_prefix
  mkdir -p venv/bin
  printf 'home = /nonexistent\nversion = 3.10.2\n' >venv/pyvenv.cfg
  local want
  want=$(aq freeze "$P")
  [[ $(PATH=$P/bin:$PATH aq freeze) == "$want" ]]
  PATH=$PWD/venv/bin:$P/bin:$PATH run -0 aq freeze
  has "$output" "  - python=3.10"
  lacks "$output" numpy
  # a Python that is no environment is not what one works in while another is active
  mkdir -p other/bin other/lib/python3.9
  touch other/lib/python3.9/os.py
  cp /bin/true other/bin/python3.9
  ln -s python3.9 other/bin/python3
  PATH=$PWD/other/bin:$PATH run -0 aq freeze
  has "$output" "  - python=3.9"
  PATH=$PWD/other/bin:$PATH CONDA_PREFIX=$P run -0 aq freeze
  [[ $output == "$want" ]]
  PATH=$PWD/other/bin:$PATH CONDA_PREFIX=$P VIRTUAL_ENV=$PWD/venv run -0 aq freeze
  has "$output" "  - python=3.10"
  # what chooses a Python when it runs is not taken for one, nor passed over
  mkdir -p shims
  printf '#!/bin/sh\n' >shims/python3
  chmod 755 shims/python3
  PATH=$PWD/shims:$PWD/other/bin:$PATH run -1 --separate-stderr aq freeze
  [[ $stderr == "aq: the Python in '$PWD/shims' is chosen when it runs (by pyenv?): write aq freeze \"\$(python3 -c 'import sys; print(sys.prefix)')\"" ]]
  # what it says to write does it
  printf '#!/bin/sh\necho %q\n' "$PWD/venv" >shims/python3
  PATH=$PWD/shims:$PATH run -0 bash -c "${stderr#*: write }"
  has "$output" "  - python=3.10"
  # mise's are links to itself
  mkdir -p local/bin local/lib/python3.8
  touch local/lib/python3.8/os.py
  cp /bin/true local/bin/mise
  ln -sf "$PWD/local/bin/mise" shims/python3
  PATH=$PWD/shims:$PWD/other/bin:$PATH run -1 --separate-stderr aq freeze
  has "$stderr" "the Python in '$PWD/shims' is chosen when it runs"
  run -1 --separate-stderr aq freeze "$PWD/home"
  has "$stderr" "'$PWD/home' is no environment: neither conda's nor Python's"
  run -1 --separate-stderr env PATH="$BUILD" "$BUILD/aq" freeze
  has "$stderr" "there is no Python and no conda environment in PATH: activate one"
}

@test "nothing of an environment is run" {
  conda_prefix
  mkdir -p "$P/bin"
  printf '#!/bin/sh\ntouch %q\n' "$PWD/was-run" | tee "$P/bin/python3" >"$P/bin/python"
  chmod 755 "$P"/bin/*
  run -0 aq freeze "$P"
  [[ ! -e was-run ]]
}

@test "a venv sees its own packages, and its Python's and one's own if it says so" {
  conda_prefix
  local venv=$PWD/venv
  wheel venv/lib/python3.11/site-packages six 1.17.0
  wheel home/.local/lib/python3.11/site-packages idna 3.10
  wheel home/.local/lib/python3.11/site-packages six 1.0
  mkdir venv/bin
  touch "$P/bin/python3"
  chmod 755 "$P/bin/python3"
  printf 'home = %s\ninclude-system-site-packages = false\nversion = 3.11.4\n' "$P/bin" >venv/pyvenv.cfg
  run -0 aq freeze "$venv"
  [[ $output == *$'dependencies:\n  - python=3.11\n  - pip:\n      - six==1.17.0' ]]
  sed -i s/false/true/ venv/pyvenv.cfg
  run -0 --separate-stderr aq freeze "$venv"
  [[ $output == *$'  - python ==3.11.4\n  - pip:\n      - idna==3.10\n      - scikit-learn==1.6.0\n      - six==1.17.0' ]]
  PYTHONNOUSERSITE=1 PYTHONPATH=$PWD run -0 --separate-stderr aq freeze "$venv"
  lacks "$output" idna
  [[ $stderr == "warning: PYTHONPATH is set: what it leads to is not part of this" ]]
}

@test "what cannot be matched is said in comments and on standard error" {
  conda_prefix
  conda_package "$P" odd 1.0 https://user:word@own.example.org/t/SECRET/own
  wheel "$SITE" edited 1.0 '{"url": "file:///src/edited", "dir_info": {"editable": true}}'
  wheel "$SITE" cloned 1.0 '{"url": "https://h.example/c", "vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef0123456789abcdef01234567"}, "subdirectory": "s"}'
  wheel "$SITE" filed 1.0 '{"url": "file:///tmp/filed-1.0-py3-none-any.whl", "archive_info": {}}'
  mkdir "$SITE/broken-1.dist-info"
  echo "Version: 1" >"$SITE/broken-1.dist-info/METADATA"
  echo nonsense >"$P/conda-meta/bad.json"
  echo /src/linked >"$SITE/linked.egg-link"
  # what its reader may read alone is a line of text, no path
  echo "HIDDEN:x:0" >own
  ln -s "$PWD/own" "$SITE/odd_link.egg-link"
  run -0 --separate-stderr aq freeze "$P"
  for text in \
    "odd 1.0 is of a channel that this site does not have" \
    "edited 1.0 is an editable install of code that the nodes may not have: file:///src/edited" \
    "linked 0 is an editable install of code that the nodes may not have: /src/linked" \
    "cloned 1.0 is of a repository, which this site refuses (vcs=refuse): git+https://h.example/c@0123456789abcdef0123456789abcdef01234567#subdirectory=s" \
    "filed 1.0 was installed from a file, not from an index: file:///tmp/filed-1.0-py3-none-any.whl"; do
    has "$output" "# not matched: $text"
    has "$stderr" "warning: not matched: $text"
  done
  has "$stderr" "warning: 'broken-1.dist-info' does not say which package it is of"
  has "$stderr" "warning: $P/conda-meta/bad.json: is no record of a package"
  has "$stderr" "warning: not matched: odd-link 0 is an editable install of code that the nodes may not have"
  lacks "$output$stderr" HIDDEN
  lacks "$output$stderr" SECRET
  lacks "$output$stderr" word
  echo "$output" >frozen.yaml
  aq check frozen.yaml
  # what the site lets its users have is asked for
  echo "policy = vcs=private" >>aq.conf
  run -0 --separate-stderr aq freeze "$P"
  has "$output" '- "cloned @ git+https://h.example/c@0123456789abcdef0123456789abcdef01234567#subdirectory=s"'
  echo "$output" >frozen.yaml
  run -0 aq check --json frozen.yaml
  jq -e '.domain == "private" and .pip[0] == "cloned @ git+https://h.example/c@0123456789abcdef0123456789abcdef01234567#subdirectory=s"' <<<"$output"
}

@test "of several channels each package says its own, in the map's order" {
  sed -i 's|^channels = .*|channels = bio=https://conda.example.org/bio conda-forge=https://conda.example.org/conda-forge defaults=https://m.example.org/main|' aq.conf
  conda_prefix
  conda_package "$P" samtools 1.21 https://conda.example.org/bio
  conda_package "$P" zlib 1.3 https://repo.anaconda.com/pkgs/main
  run -0 aq freeze "$P"
  [[ $output == *$'channels:\n  - bio\n  - conda-forge\n  - defaults\ndependencies:\n  - conda-forge::numpy ==2.0.1\n  - conda-forge::python ==3.11.4\n  - bio::samtools ==1.21\n  - defaults::zlib ==1.3\n'* ]]
  echo "$output" >frozen.yaml
  aq check frozen.yaml
}

@test "what is over a request's limits, or nothing, is not printed" {
  conda_prefix
  local i
  for ((i = 0; i < 1100; i++)); do wheel "$SITE" "package-with-a-long-name-$i" 1.0; done
  run -1 --separate-stderr aq freeze "$P"
  [[ -z $output ]]
  has "$stderr" "more than 1024 packages"
}

@test "names that no package can have become nothing of the file's" {
  conda_prefix
  wheel "$SITE" good 1.0
  mkdir "$SITE/evil-1.dist-info"
  printf 'Name: evil\nVersion: 1", {pip: [bad]}\n' >"$SITE/evil-1.dist-info/METADATA"
  run -1 --separate-stderr aq freeze "$P"
  [[ -z $output ]]
  has "$stderr" "evil"
  printf 'Name: evil\nVersion: 1\e[31m\n' >"$SITE/evil-1.dist-info/METADATA"
  run -0 --separate-stderr aq freeze "$P"
  lacks "$output" evil
  has "$stderr" "'evil-1.dist-info' does not say which package it is of"
}
