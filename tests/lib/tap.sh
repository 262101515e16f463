# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Writing and adding up TAP, the Test Anything Protocol.  Sourced.

TAP_NUMBER=0

# tap_try NAME COMMAND...: one test, which passes if COMMAND succeeds; else what it
# said is shown.  It runs in a shell of its own, in which errexit is off.
tap_try() {
  local name=$1 output
  shift
  TAP_NUMBER=$((TAP_NUMBER + 1))
  if output=$("$@" 2>&1); then
    echo "ok $TAP_NUMBER $name"
  else
    echo "not ok $TAP_NUMBER $name"
    echo "# ${output//$'\n'/$'\n'# }"
  fi
}

# tap_count FILE...: print "PASSED FAILED SKIPPED" over all files.  A file that
# has no plan, or fewer results than its plan, counts one failure more: its
# program died.  A skipped file ("1..0 # SKIP") is one skip.  A file with
# several plans is several programs one after the other.
tap_count() {
  awk '
    function finish() {
      if (name != "" && (plan < 0 || seen < plan)) failed++
      plan = -1; seen = 0
    }
    FNR == 1 { finish(); name = FILENAME; opened[name] }
    /^1\.\.0/ { plan = 0; skipped++; next }
    /^1\.\.[0-9]+/ {
      if (plan >= 0) { if (seen < plan) failed++; seen = 0 }
      plan = substr($1, 4) + 0
      next
    }
    /^not ok/ { seen++; if (/# *(TODO|todo)/) skipped++; else failed++; next }
    /^ok/ { seen++; if (/# *(SKIP|skip)/) skipped++; else passed++ }
    END {
      finish()
      for (i = 1; i < ARGC - 1; i++) if (!(ARGV[i] in opened)) failed++
      printf "%d %d %d\n", passed, failed, skipped
    }
  ' "$@" /dev/null
}

# tap_failures FILE...: the lines that say what failed, with what bats and
# cmocka print below them; and why tests were skipped.
tap_failures() {
  awk '
    /^not ok/ { show = 40 }
    /^ok/ { show = 0 }
    /^ok.*# *(SKIP|skip)/ || /^1\.\.0/ { print "  " FILENAME ": " $0; next }
    show > 0 { print "  " FILENAME ": " $0; show-- }
  ' "$@" /dev/null
}
