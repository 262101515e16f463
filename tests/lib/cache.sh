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

# cache_get NAME COMMAND... : print the path of cache entry NAME; where it is
# missing, run COMMAND... DIR first.  DIR becomes the entry, by rename, only
# when COMMAND succeeds; of several at once one builds and the others wait.
# As its status is looked at, errexit is off in COMMAND.
cache_get() {
  local name=$1 target="$AQ_CACHE/$1" temporary status=0
  shift
  if [[ ! -e $target ]]; then
    (umask 022 && mkdir -p "$AQ_CACHE/locks")
    exec {cache_lock}>"$AQ_CACHE/locks/$name"
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
  fi
  ((status)) || echo "$target"
  return "$status"
}

# cache_trim PREFIX KEEP : remove entries that begin with PREFIX but KEEP, not
# used for a week (another checkout may still use its own).
cache_trim() {
  find "$AQ_CACHE" -maxdepth 1 -name "$1*" ! -name "$2" -mtime +7 -exec rm -rf {} +
}
