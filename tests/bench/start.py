#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""start.py PAIRS: in a task, how long `python -c pass` takes as the task finds it, against
its interpreter started directly, with nothing that the task was given; so many pairs, whose
two take turns.

Prints the medians of both in ms, and the ratio with its standard error.
"""

import os
import shutil
import statistics
import sys
import time

PAIRS = int(sys.argv[1])
FOUND = shutil.which("python") or sys.exit("no python is found")
DIRECTLY = os.path.realpath(FOUND)
BARE = {"PATH": os.defpath}


def seconds(path: str, name: str, environment: "os._Environ[str] | dict[str, str]") -> float:
    """Of one start by that name, which the interpreter finds its own place by."""
    begun = time.monotonic()
    pid = os.posix_spawn(path, [name, "-c", "pass"], environment)
    if os.waitpid(pid, 0)[1]:
        sys.exit(f"{path} fails")
    return time.monotonic() - begun


def main() -> None:
    """Print one line."""
    one, other = [], []
    for i in range(PAIRS):
        for is_task in (i % 2, not i % 2):
            if is_task:
                other.append(seconds(FOUND, "python", os.environ))
            else:
                one.append(seconds(DIRECTLY, DIRECTLY, BARE))
    middle = statistics.median(one)
    differences = [b - a for a, b in zip(one, other, strict=True)]
    ratio = 1 + statistics.median(differences) / middle
    error = statistics.stdev(differences) / PAIRS**0.5 / middle
    theirs = statistics.median(other)
    print(f"{middle * 1e3:8.2f} {theirs * 1e3:8.2f} {ratio:8.3f} x +- {error:<7.3f}")


main()
