# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# How often random, fault and load tests try: the one table.  Sourced; see
# export_counts.  A test reads AQ_COUNT_<NAME>, and is small without it.
#
# NAME | in ./check, with fixed seeds | in ./check --long
# FAULT_*, CALLS_STRIDE: every so many calls one fails; POWER_*: at every so many writes
# FILE_SECONDS: a file of tests/it that takes longer hangs; with --long faults.bats tries 31
# times as many faults, and takes hours
AQ_COUNTS='
PAIRS        100000   2000000
ENVOPS        20000   1000000
SPECS         20000    500000
FUZZ          50000   2000000
LOCKS          3000    300000
STORE_LOAD       20       500
BUILDER_KILLS     3        30
ARRAY_TASKS      50       500
HISTORY        2000    100000
IT_HISTORY      200      1000
GC_KILLS          8       100
GC_JOBS         100       500
FAULT_CALLS      31         1
FAULT_MEMORY    499        11
FAULT_HOOKS       5         1
CALLS_STRIDE    101         3
POWER_CUTS       17         1
POWER_MORE       67         1
DAMAGE          150     10000
LOAD             40      1000
FLOOD     200000000 4000000000
DRAIN             1        10
DRAIN_EVERY       6         1
SHARED            1        10
SNAKEMAKE         0         1
RPM               0         1
FRESH_CHECK       0         1
FILE_SECONDS    900     14400
'
readonly AQ_COUNTS

# export_counts short|long: set AQ_COUNT_<NAME> for all of them.
export_counts() {
  local name short long
  while read -r name short long; do
    [[ -n $name ]] || continue
    if [[ $1 == long ]]; then short=$long; fi
    export "AQ_COUNT_$name=$short"
  done <<<"$AQ_COUNTS"
}
