#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""faults.py CONF PROGRAM KIND EVERY [later]: run PROGRAM NUMBER, a new number each
time, while its 1st, 1+EVERY-th, … call of KIND fails (tests/unit/faults.h), until a
run meets no failure; what it left must heal.  CONF.faults says which.

Prints how many failed, and exits 1 at the first that is wrong.
"""

import contextlib
import json
import mmap
import os
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

KINDS = [
    "memory",
    "disk",
    "kill",
    "open",
    "read",
    "lock",
    "fork",
    "rights",
    "signal",
    "abort",
    "hang",
    "flood",
    "grow",
    "look",
]
PLAN = struct.Struct("=5Q")  # struct faults
CALLS_MAX = 100_000  # more than any build makes
SECONDS = 120  # of one run, on a loaded machine
HEX = "[0-9a-f]"
SIGNALS = 128  # exit codes above say which signal ended it


class WrongError(Exception):
    """What a fault must not do."""


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """With its output as text; a hang is wrong."""
    try:
        return subprocess.run(command, text=True, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as e:
        raise WrongError(f"it hangs: {e.stderr!r}") from e


def must(*command: str) -> str:
    """It ends well."""
    done = run(list(command))
    if done.returncode != 0:
        raise WrongError(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def forget_failures(cache: Path) -> None:
    """A fault is remembered for some seconds: they are over."""
    if (cache / "cache.db").exists():
        with contextlib.closing(sqlite3.connect(cache / "cache.db")) as db, db:
            db.execute("DELETE FROM failures")


def bases() -> set[str]:
    """Environments that are one."""
    listed = json.loads(must("aq", "base", "list", "--json"))["bases"]
    return {b["name"] for b in listed}


def goes_on(conf: str | Path) -> bool:
    """Whether there is a builder, that may have answered, or the collector that it starts."""
    return run(["pgrep", "-f", f"^aq(-builder)? .*{conf}"]).returncode == 0


def wait_for_what_goes_on(conf: str) -> None:
    """Until nothing does."""
    deadline = time.monotonic() + SECONDS
    while goes_on(conf):
        if time.monotonic() > deadline:
            raise WrongError("it goes on for ever")
        time.sleep(0.02)


def heal(cache: Path) -> None:
    """As after any other run: nothing is damaged, and nothing lies about for ever.

    Of an environment that is there the place stays where builders see it: a base's, and
    that of one whose byte-code is still to be made.
    """
    must("aq", "verify", "--contents")
    must("aq", "gc")
    left = [str(p) for d in ("work/envs", "trash") for p in (cache / d).glob("[!.]*")]
    places = {p.name for p in (cache / "envs").glob("*")}
    left = [p for p in left if Path(p).name not in places or any(Path(p).iterdir())]
    envs, meta = ({p.name for p in (cache / d).glob(f"{HEX * 20}-*")} for d in ("envs", "meta"))
    if left or envs != meta:
        raise WrongError(f"left behind: {left}, envs {envs - meta}, meta {meta - envs}")


def try_once(plan: mmap.mmap, program: list[str], kind: str, n: int, *, later: bool) -> bool:
    """Whether it met the failure."""
    plan[:] = PLAN.pack(KINDS.index(kind), n, later, 0, 0)
    done = run(program)
    happened = bool(PLAN.unpack(plan[:])[4])
    plan[:] = PLAN.pack(0, 0, 0, 0, 0)
    if kind != "kill" and (done.returncode < 0 or done.returncode > SIGNALS):
        raise WrongError(f"a signal ended it: {done.returncode}\n{done.stderr}")
    if done.returncode and kind != "kill" and not done.stderr.strip():
        raise WrongError(f"exit code {done.returncode} without a reason")
    if done.returncode and kind == "signal":
        raise WrongError(f"a signal was a failure: {done.stderr}")
    if done.returncode and not happened:
        raise WrongError(f"it failed by itself: {done.stderr}")
    return happened


def main(conf: str, program: str, kind: str, every: str, later: str = "") -> int:
    """From the first call to the last."""
    cache = next(
        Path(line.split("=")[1].strip())
        for line in Path(conf).read_text().splitlines()
        if line.startswith("cache_dir")
    )
    path = Path(f"{conf}.faults")
    path.write_bytes(bytes(PLAN.size))
    n = failed = 0
    try:
        with path.open("r+b") as file, mmap.mmap(file.fileno(), PLAN.size) as plan:
            for n in range(1, CALLS_MAX, int(every)):
                mine = [program, f"{os.getpid()}{n:05}"]
                if not try_once(plan, mine, kind, n, later=bool(later)):
                    break
                failed += 1
                forget_failures(cache)
                must(*mine)
                wait_for_what_goes_on(conf)
                heal(cache)
    except WrongError as wrong:
        print(f"{kind}, call {n}: {wrong}")
        return 1
    finally:
        path.unlink()
    print(f"{kind}: {failed} runs, the last at call {n}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
