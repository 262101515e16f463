# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the benches share: a private Slurm, cases and how they are measured.
# A bench sources this, then:
#
#   bench_options "$@"      sets runs and warm
#   bench_begin STEPS       as root; ends everything when the script ends.
#                           STEPS of its own, beside those of measure
#   step ... bench_up       sets dir, install, tools and channel
#   measure CASE...         sets us[CASE] and kb[CASE]
#
# A case is four functions: fresh_CASE puts things back, run_CASE is timed,
# settle_CASE waits for what goes on behind it, disk_CASE prints the directory
# that it fills.  settle and disk may be left out: nothing, and the node's.
#
# Everything is timed with the operating system's cache warm (each case runs
# once before, unless --quick) and with nothing left to write back, so that no
# case pays for the one before it.  The cases take turns, so that all of them
# see the same machine, however busy with other things it is.

bench_here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
lib=$bench_here/../lib
for part in cache packages accounts wait steps cluster uncaged; do
  # shellcheck source=/dev/null
  . "$lib/$part.sh"
done

# What aq-base asks for, as pip says it.
readonly BASE="numpy pandas pyarrow cloudpickle pyyaml requests pydantic packaging setuptools wheel"
NODE=n1 # where ours run; a case may say another
readonly REMEDY="see the messages above"
readonly SETTLE_SECONDS=300 # byte-code of everything at the lowest priority, on a loaded machine

# shellcheck disable=SC2034 # for the scripts
declare -A us kb times
clusters=() # directories of those that bench_end ends
servers=()  # process ids that it ends, too
mounts=()   # what it unmounts
others=()   # and directories that it removes

bench_options() {
  runs=3
  warm=yes
  while (($#)); do
    case $1 in
      --runs) runs=${2:?} && shift 2 ;;
      --quick) warm=no && shift ;;
      *)
        echo "usage: ${0##*/} [--runs N] [--quick]" >&2
        exit 2
        ;;
    esac
  done
}

bench_begin() {
  [[ $EUID -eq 0 ]] || { echo "needs root, for a Slurm of its own" >&2; exit 1; }
  export STEP_TOTAL=$(($1 + runs))
  [[ $warm != yes ]] || ((STEP_TOTAL++))
  # the interpreters that are timed are run from here, too
  unset PYTHONHOME PYTHONPATH PYTHONSTARTUP
  trap bench_end EXIT
  trap 'exit 130' INT TERM HUP
}

bench_end() {
  local status=$? one
  trap - EXIT
  for one in "${servers[@]}"; do kill "$one" || :; done
  for one in "${clusters[@]}"; do
    cluster_down "$one" || status=1
  done
  for one in "${mounts[@]}"; do umount "$one" || status=1; done
  rm -rf "${clusters[@]}"
  rm -rf "${others[@]}"
  exit "$status"
}

# bench_up [OPTION]...: of cluster_up
bench_up() {
  need_packages build slurm munge tools || return
  tools=$("$lib/get-tools") || return
  channel=$("$lib/get-channel") || return
  install=$AQ_CACHE/install-$(cache_recipe "=$(readlink -f "$bench_here/../..")" "=/usr") || return
  "$lib/install-tree" "$install" || return
  dir=$(mktemp -d /var/tmp/aq-bench.XXXXXX)
  clusters+=("$dir")
  cluster_up "$dir" --install "$install" --tools "$tools" --channel "$channel" "$@" || return
  # shellcheck source=/dev/null
  . "$dir/env.sh"
  request all 'python=3.9, pip, aq-base, scikit-learn'
}

# request NAME ITEMS: a file that asks for these, $dir/NAME.yaml.
request() { printf 'channels: [conda-forge]\ndependencies: [%s]\n' "$2" >"$dir/$1.yaml"; }

# -- the cases that are not ours --

client() { "$tools/bin/python" "$bench_here/bare_client.py" "$1" "file://$channel" "${@:2}"; }

fresh_naive() { rm -rf "$dir/naive" && mkdir "$dir/naive"; }
run_naive() {
  client "$dir/naive/env" "$dir/naive/pkgs" python=3.9 pip || return
  # shellcheck disable=SC2086 # words
  env -u PIP_FIND_LINKS PIP_CACHE_DIR="$dir/naive/pip" PIP_CONFIG_FILE=/dev/null \
    "$dir/naive/env/bin/python" -m pip install -q --no-index \
    --find-links "$channel/wheels" $BASE scikit-learn
}
disk_naive() { echo "$dir/naive"; }

fresh_client() { rm -rf "$dir/client" && mkdir "$dir/client"; }
run_client() { client "$dir/client/env" "$dir/client/pkgs" python=3.9 pip aq-base scikit-learn; }
disk_client() { echo "$dir/client"; }

# -- ours --

# plain COMMAND...: what ours is without the environment.
plain() { as_user srun --quiet --nodelist="$NODE" "$@"; }

# ours NAME COMMAND...: with the environment that $dir/NAME.yaml asks for.
ours() { plain --aq-requirements="$dir/$1.yaml" "${@:2}"; }

# Until no job's epilog, no builder and no byte-code is outstanding.
settle() {
  cluster_wait_idle "$dir" "$SETTLE_SECONDS" && wait_until "$SETTLE_SECONDS" is_settled
}

is_settled() {
  ! pgrep -f -- "^[^ ]*aq-builder .*$dir/etc/aq.conf" &&
    ! compgen -G "$dir/nodes/*/lib/work/bytecode/pending/*"
}

# wipe NODE: as it was when it was installed.
wipe() { settle && rm -rf "${dir:?}/nodes/${1:?}"/*; }

node_lib() { echo "$dir/nodes/$NODE/lib"; }
aq_here() { aq --node "$NODE" "$@"; }

# forget: as if nothing but the base had been built; the caches stay.  It does
# what collecting would: no row names it, then its files go.
forget() {
  local name
  settle || return
  while read -r name; do
    rm -rf "$(node_lib)/envs/${name:?}" "$(node_lib)/meta/${name:?}"
  done < <(python3 - "$(node_lib)/cache.db" <<'PY'
import sqlite3, sys

db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA foreign_keys=on")
names = db.execute("SELECT name FROM environments WHERE name NOT IN (SELECT env FROM bases)").fetchall()
db.executemany("DELETE FROM environments WHERE name=?", names)
db.execute("DELETE FROM requests WHERE key NOT IN (SELECT key FROM keys)")
db.commit()
print(*(name for (name,) in names), sep="\n", end="\n" if names else "")
PY
  )
}

# -- measuring --

# of_case PREFIX CASE: PREFIX_CASE, or PREFIX_ours where there is none.
of_case() {
  local function=$1_$2
  declare -F "$function" >/dev/null || function=$1_ours
  "$function"
}
settle_ours() { settle; }
disk_ours() { echo "$dir/nodes/$NODE"; }

# du counts a file with several links once.
disk_kb() { du -sk "$(of_case disk "$1")" | cut -f1; }

# median NUMBER...: of an even number of them the lower middle.
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

# timed COMMAND...: run it and set elapsed, in microseconds.
timed() {
  local started=${EPOCHREALTIME/./}
  "$@" >>"$dir/bench.log" 2>&1 || {
    tail -n 20 "$dir/bench.log" >&2
    return 1
  }
  elapsed=$((${EPOCHREALTIME/./} - started))
}

# round N CASE...: each case once; round 0 does not count.  kb[CASE] is what
# the last one added, once everything behind it was done.
round() {
  local case before
  for case in "${@:2}"; do
    timed "fresh_$case" || return
    before=$(disk_kb "$case")
    sync -f "$dir"
    timed "run_$case" || return
    (($1 == 0)) || times[$case]+="$elapsed "
    printf '      %-15s %7s s\n' "${case//_/ }" "$(in_seconds "$elapsed")" >&2
    timed of_case settle "$case" || return
    # shellcheck disable=SC2034 # for the scripts
    kb[$case]=$(($(disk_kb "$case") - before))
  done
}

# measure CASE...: sets us[CASE], the median, and kb[CASE].
measure() {
  local i=1 case
  [[ $warm != yes ]] || i=0
  for (( ; i <= runs; i++)); do
    step "round $i of $runs" "$REMEDY" round "$i" "$@" || return
  done
  for case in "$@"; do
    # shellcheck disable=SC2086,SC2034 # words; for the scripts
    us[$case]=$(median ${times[$case]})
  done
}

# percent PART WHOLE DECIMALS
percent() { awk -v p="$1" -v w="$2" -v d="$3" 'BEGIN {printf "%.*f %%", d, 100 * p / w}'; }

# in_seconds MICROSECONDS, in_mb KILOBYTES
in_seconds() { awk -v t="$1" 'BEGIN {printf "%.3f", t / 1e6}'; }
in_mb() { awk -v n="$1" 'BEGIN {printf "%.1f", n / 1024}'; }

# -- comparisons --

# in_turns N BETWEEN A B: run functions A and B in turns, BETWEEN before each
# and not timed; sets us[A], us[B] (medians), difference (the median of those
# of each pair) and its standard error, all in microseconds.
# shellcheck disable=SC2034 # for the scripts
in_turns() {
  local i one other=() differences=() first=()
  for ((i = -1; i < $1; i++)); do
    timed "$2" && timed "$3" || return
    one=$elapsed
    timed "$2" && timed "$4" || return
    ((i >= 0)) || continue # the first pair fills caches
    first+=("$one")
    other+=("$elapsed")
    differences+=($((elapsed - one)))
  done
  us[$3]=$(median "${first[@]}")
  us[$4]=$(median "${other[@]}")
  difference=$(median "${differences[@]}")
  error=$(standard_error "${differences[@]}")
}

# standard_error NUMBER...: of their median, from the quartiles, which unlike
# the deviation do not mind a few wild runs: 1.2533 of the mean's, for which
# the deviation is the distance of the quartiles by 1.349.
standard_error() {
  printf '%s\n' "$@" | sort -n |
    awk '{v[NR] = $1} END {print 1.2533 * (v[int(NR * 3 / 4) + 1] - v[int(NR / 4) + 1]) / 1.349 / sqrt(NR)}'
}
