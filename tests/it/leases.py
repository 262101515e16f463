#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the leases of a node say (common/lease.h), read and written from outside.

leases.py RUN_DIR COLUMNS CONDITION: as if they were rows of a table "refs".
leases.py RUN_DIR put JOB NODE ENV [BOOT]: one of nobody.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def boot_id() -> str:
    """The kernel's."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read(run: Path) -> list[tuple[int, int, int, str, str, str]]:
    """Job, step, component, node, digest and environment of what is held."""
    held = []
    for path in (run / "leases").glob("*"):
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        words = text.split()
        if text[:1] not in {"", "\0"} and words[0] == boot_id():
            job, step, het, node = path.name.split(".", 3)
            held.append((int(job), int(step), int(het), node, words[1], "".join(words[2:])))
    return held


def ask(run: Path, columns: str, condition: str) -> list[str]:
    """The first column of a query."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE refs(job, step, het, node, digest, env)")
        db.executemany("INSERT INTO refs VALUES(?, ?, ?, ?, ?, ?)", read(run))
        # the tests' own words
        query = f"SELECT {columns} FROM refs WHERE {condition} ORDER BY job, step"  # noqa: S608
        rows = db.execute(query)
        return [str(row[0]) for row in rows]


def put(run: Path, job: str, node: str, env: str, boot: str = "") -> None:
    """As a step 0 would have it whose slurmstepd was killed."""
    path = run / "leases" / f"{job}.0.4294967295.{node}"
    path.write_text(f"{boot or boot_id():36} {'0' * 64} {env:39}\n")
    path.chmod(0o600)


if __name__ == "__main__":
    if sys.argv[2] == "put":
        put(Path(sys.argv[1]), *sys.argv[3:])
    else:
        print(*ask(Path(sys.argv[1]), *sys.argv[2:]), sep="\n")
