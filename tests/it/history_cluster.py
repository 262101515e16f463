# SPDX-License-Identifier: Apache-2.0
"""A private cluster as history.py sees it: its nodes' caches, and who uses them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import leases

PATIENCE = 120  # seconds for whatever is waited for
TEST_USER = "aqtest"

# Without what the collector is made of.
LEFT = """
SELECT name FROM environments e
WHERE pinned = 0 AND name NOT IN (SELECT env FROM bases)
  AND name NOT IN (SELECT base FROM environments)
  AND EXISTS (SELECT 1 FROM keys k WHERE k.env = e.name)
  AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.env = e.name
                  AND (k.plain OR k.key IN (SELECT key FROM workflows)))
"""


class BrokenError(Exception):
    """What must hold does not."""


class Cluster:
    """What can be asked of one, and done to its nodes."""

    def __init__(self, directory: Path) -> None:
        """One that runs in 'directory'."""
        self.dir = directory
        self.place = directory / "submit"

    def run(self, *command: str, ok: Sequence[int] = (0,)) -> str:
        """A command that ends as it should; what it printed."""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in ok:
            raise BrokenError(f"{' '.join(command)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def is_ok(self, *command: str) -> bool:
        """Whether a command that may fail did not."""
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def aq(self, node: str, *words: str, ok: Sequence[int] = (0,)) -> str:
        return self.run("aq", "--node", node, *words, ok=ok)

    def as_user(self, *words: str) -> list[str]:
        """The same as the test user, with nothing of our environment."""
        kept = [f"{n}={os.environ[n]}" for n in ("PATH", "SLURM_CONF")]
        who = ["setpriv", f"--reuid={TEST_USER}", f"--regid={TEST_USER}", "--init-groups"]
        return [*who, "env", "-i", f"--chdir={self.place}", *kept, *words]

    def cache(self, node: str) -> Path:
        return self.dir / "nodes" / node / "lib"

    def ask(self, path: Path, sql: str) -> list[str]:
        """The first column of a query."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
            return [str(row[0]) for row in db.execute(sql)]

    def rows(self, node: str) -> set[str]:
        return set(self.ask(self.cache(node) / "cache.db", "SELECT name FROM environments"))

    def refs(self, node: str) -> list[str]:
        return leases.ask(self.dir / "nodes" / node / "run", "env", "1")

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise BrokenError(f"waited in vain: {what}")
            time.sleep(0.05)

    def slurmd(self, node: str) -> int:
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"slurmd") and words[1:3] == [b"-N", node.encode()]:
                    return int(path.name)
        raise BrokenError(f"{node} has no slurmd")

    def limit(self, now: str, then: str) -> None:
        """Another line in aq.conf."""
        conf = self.dir / "etc" / "aq.conf"
        text = conf.read_text()
        if now not in text:
            raise BrokenError(f"aq.conf has no '{now}'")
        conf.write_text(text.replace(now, then))

    def collect_all(self, node: str, *words: str) -> None:
        """An epilog may have started one before us, which looked too early."""
        self.wait("a collection", lambda: bool(self.aq(node, "gc", "--json", *words)))

    def left(self, node: str) -> list[str]:
        """What nobody asks for but workflows that ask for something else by now."""
        self.collect_all(node, "--reconcile")
        return self.ask(self.cache(node) / "cache.db", LEFT)

    def bases_of(self, node: str, names: set[str]) -> set[str]:
        listed = json.loads(self.aq(node, "list", "--json"))["environments"]
        return {e["base"] for e in listed if e["name"] in names}

    @contextmanager
    def explained(self, node: str) -> Iterator[None]:
        try:
            yield
        except BrokenError as e:
            raise BrokenError(f"{e}: {self.explain(node, self.rows(node))}") from e

    def explain(self, node: str, names: set[str]) -> str:
        """Who may use what is left."""
        users = {n: self.users(n) for n in names}
        run = self.dir / "nodes" / node / "run"
        refs = leases.ask(run, "job || '.' || step || ' ' || env", "1")
        files = {p.name: self.holders(p) for p in (run / "leases").iterdir()}
        marks = [p.name for p in (run / "jobs").iterdir()]
        queue = self.run("squeue", "-h", "-o", "%A %T %r").splitlines()
        return f"used by {users}, references {refs}, leases {files}, marks {marks}, queue {queue}"

    def holders(self, path: Path) -> list[str]:
        """The processes that have a file open."""
        found = []
        for fd in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                if fd.resolve() == path:
                    words = (fd.parent.parent / "cmdline").read_text().replace("\0", " ")
                    found.append(f"{fd.parent.parent.name} {words}")
        return found

    def users(self, name: str) -> list[str]:
        """The commands of processes in an environment, and what each is doing."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                # a layer's interpreter is its base's
                if name.encode() in (path / "maps").read_bytes() + (path / "environ").read_bytes():
                    words = (path / "cmdline").read_text().replace("\0", " ")
                    status = dict(
                        line.split(":\t", 1) for line in (path / "status").read_text().splitlines()
                    )
                    found.append(f"{words}({status['State']}, parent {status['PPid']})")
        return found
