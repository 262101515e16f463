#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make ./configure from configure.ac; run once in a fresh clone.
set -eu
cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf --install --warnings=none
