#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # bats sets stderr
# Every command, file and block that README.md, docs/ and the manual pages show is one
# that there is: what aq runs is run with a stand-in for what builds; Slurm's commands of
# the user guide run in tests/it/examples.bats.

load lib

TOP=$(cd "$(dirname "$BATS_TEST_FILENAME")/../.." && pwd)


# shown VERB [ARGUMENT]...: what doc_commands.py says of all of them.
shown() {
  local docs=("$TOP"/README.md "$TOP"/CONTRIBUTING.md "$TOP"/docs/*.md "$TOP"/docs/man/*.[158])
  python3 -B "$TOP/tests/cli/doc_commands.py" "$@" "${docs[@]}"
}

@test "every block is of a kind that is checked, and each request, aq.conf and plugstack.conf is one" {
  local kind where path said n=0
  mkdir blocks
  touch requirements.txt
  shown blocks blocks >list
  while IFS=$'\t' read -r kind where path; do
    case $kind in
      yaml)
        sed 's/^channels = .*/& bioconda=https:\/\/conda.example.org\/bioconda/' "$AQ_CONF" >more.conf
        cp "$path" shown.yaml
        said=$(aq --config more.conf check shown.yaml 2>&1) || { echo "$where: $said" && return 1; }
        ;;
      python)
        cp "$path" shown.py
        said=$(aq check shown.py 2>&1) || { echo "$where: $said" && return 1; }
        ;;
      conf)
        { cat aq.conf && sed "s|^cache_dir = .*|cache_dir = $PWD/lib|" "$path"; } >shown.conf
        said=$(aq --config "$PWD/shown.conf" check req.yaml 2>&1) || { echo "$where: $said" && return 1; }
        lacks "$said" warning
        ;;
      plugstack)
        [[ $(<"$path") =~ ^optional\ spank_aq\.so\ config=/[a-z/.]+$ ]] || { echo "$where" && return 1; }
        ;;
      *) continue ;;
    esac
    n=$((n + 1))
  done <list
  ((n > 10))
}

@test "every aq command that is shown runs" {
  local where line code n=0
  # what the stand-in's packages are of
  sed -i 's|^channels = .*|& own=https://conda.example.org|' aq.conf
  aq build req.yaml 2>/dev/null
  aq show --lock req.yaml >lock.txt
  echo '{channels: [conda-forge], dependencies: [python=3.11]}' >base.yaml
  NAME=$(aq list --json | jq -r '.environments[0].name')
  export NAME
  shown run >list
  while IFS=$'\t' read -r where line; do
    code=0
    # a Python that shows which one it is, for aq freeze
    PATH=/usr/bin:$PATH bash -o pipefail -c "$line" >out 2>&1 </dev/null || code=$?
    # 3: this machine is no node; 4: there is no such workflow
    [[ $code == @(0|3|4) ]] || { echo "$where: $line: $code" && cat out && return 1; }
    n=$((n + 1))
  done <list
  ((n > 20))
}

@test "of every other command the program, its options and the files are there" {
  command -v srun >/dev/null || skip "srun is not installed: there is nothing to ask for its options"
  printf '%s\n' ClusterName=x SlurmctldHost=localhost PlugStackConfig=/dev/null \
    NodeName=n1 'PartitionName=p Nodes=n1' >slurm.conf
  SLURM_CONF=$PWD/slurm.conf shown check "$TOP"
}

@test "docs/format.md's digests are what its commands print" {
  local command digest n=0
  while read -r digest; do
    command=$(grep -B4 "^$digest  -\$" "$TOP/docs/format.md" | sed -n '/^\$ printf/,/sha256sum$/p')
    [[ $(bash -c "${command#\$ }") == "$digest  -" ]]
    n=$((n + 1))
  done < <(sed -n 's/^\([0-9a-f]\{64\}\)  -$/\1/p' "$TOP/docs/format.md")
  ((n == 2))
}

@test "every path of the checkout that is named is there" {
  shown names "$TOP"
}

@test "the mistake that README.md shows is told so" {
  printf '%s\n' 'channels: [conda-forge]' 'dependancies: [scikit-learn]' >typo.yaml
  run -1 --separate-stderr aq check typo.yaml
  grep -qxF "srun: error: ${stderr#aq: }" "$TOP/README.md"
}

@test "docs/environment-files.md: of each class a small file is what it says" {
  python3 -B "$TOP/tests/cli/file_classes.py" samples "$TOP"
}

@test "docs/scale.md: its tables are the model's" {
  diff <(python3 -B "$TOP/tests/bench/model" --table | grep '^|') <(sed -n '/^## The model/,/^## Measured/p' "$TOP/docs/scale.md" | grep '^|')
}
