# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Things that take minutes to make are made once, outside the checkout, under
# a name that changes with their recipe.  Sourced.
#
# AQ_CACHE says where; every directory on the way to it must be open to all,
# because builds and test jobs read there as unprivileged users.

AQ_CACHE=${AQ_CACHE:-/var/cache/slurm-aq-dev}
export AQ_CACHE

# cache_recipe FILE|DIR|=TEXT... : print a short digest of what these say.
cache_recipe() {
  local item
  for item in "$@"; do
    case $item in
      =*) printf '%s\n' "${item#=}" ;;
      *) find "$item" -type f ! -path '*/__pycache__/*' ! -path '*_cache/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | cut -d' ' -f1 ;;
    esac
  done | sha256sum | cut -c1-16
}

# cache_used NAME : it is used now, which the time of its lock says.
cache_used() {
  (umask 022 && mkdir -p "$AQ_CACHE/locks" && touch "$AQ_CACHE/locks/${1//\//-}")
}

# cache_get NAME COMMAND... : print the path of cache entry NAME; where it is
# missing, run COMMAND... DIR first.  DIR becomes the entry, by rename, only
# when COMMAND succeeds; of several at once one builds and the others wait.
# As its status is looked at, errexit is off in COMMAND.
cache_get() {
  local name=$1 target="$AQ_CACHE/$1" temporary status=0
  shift
  cache_used "$name"
  exec {cache_lock}>>"$AQ_CACHE/locks/$name"
  flock "$cache_lock"
  if [[ ! -e $target ]]; then
    rm -rf "$AQ_CACHE/.$name".* # of one that was killed
    temporary=$(mktemp -d "$AQ_CACHE/.$name.XXXXXX")
    chmod 755 "$temporary"
    (umask 022 && "$@" "$temporary") >&2 {cache_lock}>&- || status=$?
    if ((status == 0)); then
      mv -T "$temporary" "$target"
    else
      rm -rf "$temporary"
      echo "could not make $name (exit $status)" >&2
    fi
  fi
  exec {cache_lock}>&-
  ((status)) || echo "$target"
  return "$status"
}

# A run lasts hours, not days; what is asked for again is made again, in minutes.
readonly CACHE_DAYS=3

# cache_tidy : remove what nobody has used for CACHE_DAYS: of recipes that have changed
# since, of checkouts that are no more.  Entries of the names that are given here alone.
cache_tidy() {
  local entry name
  for entry in "$AQ_CACHE"/{channel,check,chroot,install,snakemake,tools}-* "$AQ_CACHE"/build/*; do
    [[ -d $entry && ! -L $entry ]] || continue
    name=${entry#"$AQ_CACHE"/}
    # of before it was noted: from now on
    [[ -e $AQ_CACHE/locks/${name//\//-} ]] || cache_used "$name"
    (
      # who uses it notes that first, and looks whether it is there under the lock
      exec 9>>"$AQ_CACHE/locks/${name//\//-}"
      flock -n 9 && [[ -n $(find "$AQ_CACHE/locks/${name//\//-}" -mtime "+$((CACHE_DAYS - 1))") ]] || exit 0
      echo "  removing $name, not used for $CACHE_DAYS days" >&2
      rm -rf --one-file-system "$entry"
    )
  done
}
