#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""power.py CONF FILE-SYSTEM OPERATION EVERY, in a mount namespace of its own: the power
goes while OPERATION changes a cache on a disk of its own (tests/it/disk.c).  What the
disk holds then is mounted and looked at as after a boot, once for each EVERY-th write:
all that was written before it, and once more without some of what the disk was not
told to flush.  What had been answered is there and whole, so is what has a row, and
one more run heals the rest.

Prints how many cuts there were, and exits 1 at the first that is wrong.  AQ_SEED is
where the choice of what is lost begins.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from faults import WrongError, bases, forget_failures, goes_on, heal, must, run
from power_log import Write, lose, read_flushes, read_log, write_to

SECONDS = 60  # until what goes on after an answer is over, on a loaded machine

# name: size of the image, how it is made
FILE_SYSTEMS = {
    "ext4": (64 << 20, ["mkfs.ext4", "-q", "-b", "4096", "-E", "nodiscard"]),
    "xfs": (320 << 20, ["mkfs.xfs", "-q", "-K"]),
    "btrfs": (128 << 20, ["mkfs.btrfs", "-q", "-K"]),
}

PYTHON = "{}.{}".format(*sys.version_info)  # tests/clients/faulty has this one

Files = dict[str, str]  # of an environment: what is in each, by its path


@dataclasses.dataclass
class Promises:
    """What somebody was told: environments that are ready, which are pinned, or bases."""

    ready: set[str] = dataclasses.field(default_factory=set)
    pinned: set[str] = dataclasses.field(default_factory=set)
    bases: set[str] = dataclasses.field(default_factory=set)

    def text(self) -> str:
        """As a mark."""
        return json.dumps([sorted(self.ready), sorted(self.pinned), sorted(self.bases)])

    @staticmethod
    def of(text: str) -> Promises:
        """From a mark; or nothing yet."""
        return Promises(*(set(names) for names in json.loads(text))) if text else Promises()

    def copy(self) -> Promises:
        """To change."""
        return Promises.of(self.text())


@dataclasses.dataclass
class Operation:
    """Verbs before the disk is watched, those that the power goes in, and who heals."""

    before: list[str]
    verbs: list[str]
    limits: list[str] = dataclasses.field(default_factory=list)  # for aq.conf
    after: list[str] = dataclasses.field(default_factory=list)  # the next builder
    first: str = ""  # what is looked at is when this is on disk first: see come_between()


ALL_GO = ["max_size = 1", "grace = 0"]
OPERATIONS = {
    "build": Operation(["build 1"], ["build 2"]),
    "failure": Operation(["build 1"], ["fail 2", "build 2"]),
    "hit": Operation(["build 1"], ["build 1", "gc"]),
    "collect": Operation(["build 1", "build 2", "pin 2"], ["gc"], ALL_GO),
    "pin": Operation(["build 1"], ["pin 1", "unpin 1"]),
    "base": Operation(["build 1"], ["base"]),
    "bytecode": Operation(["base"], ["build 2p"], after=["build 3p"]),
    "published": Operation(["base"], ["build 2p"], after=["build 3p"], first="envs/*/**/x.*.pyc"),
    "workflow": Operation(["build 1", "flow 1", "gc"], ["build 2", "flow 2", "gc"]),
}


def command(*argv: str | Path) -> str:
    """It ends well."""
    return must(*(str(a) for a in argv)).strip()


# -- what the cache is asked --


class Cache:
    """The cache of a node, through aq."""

    def __init__(self, conf: Path) -> None:
        """As 'conf' says."""
        self.conf = conf
        settings = dict(
            line.split(" = ", 1) for line in conf.read_text().splitlines() if " = " in line
        )
        self.dir = Path(settings["cache_dir"])
        self.run_dir = Path(settings["run_dir"])
        self.has_booted = False
        self.names: dict[str, str] = {}  # of requests: the environment of each
        self.answers: dict[str, dict[str, str]] = {}

    def boot(self) -> None:
        """Another boot, which nothing of run_dir outlives; in a mount namespace of ours."""
        boot_id = self.conf.with_name("boot_id")
        boot_id.write_text(f"{uuid.uuid4()}\n")
        if not self.has_booted:
            command("mount", "--bind", boot_id, "/proc/sys/kernel/random/boot_id")
            self.has_booted = True
        for path in (self.run_dir, self.run_dir.with_name(f"{self.run_dir.name}-public")):
            shutil.rmtree(path, ignore_errors=True)

    def request(self, n: str) -> str:
        """A file for it: x of that version, with a Python ("2p"), or only that ("p")."""
        file = self.conf.with_name("req.yaml")
        version = n.removesuffix("p")
        words = ([f"x={version}"] if version else []) + ([f"python={PYTHON}"] if "p" in n else [])
        file.write_text(f"{{channels: [conda-forge], dependencies: [{', '.join(words)}]}}\n")
        return str(file)

    def build(self, n: str) -> str:
        """The environment of request 'n'."""
        answer: dict[str, str] = json.loads(must("aq", "build", "--json", self.request(n)))
        self.answers[n] = answer
        return answer["prefix"].rpartition("/")[2]

    def move_workflow(self, n: str) -> None:
        """As a step of it notes that it asks for 'n' now, and nobody else did."""
        row = (1000, "w", self.answers[n]["key"], self.answers[n]["digest"], time.time_ns())
        with contextlib.closing(sqlite3.connect(self.run_dir / "refs.db")) as refs, refs:
            refs.execute("INSERT OR REPLACE INTO workflows VALUES(?, ?, ?, ?, ?)", row)
        with contextlib.closing(sqlite3.connect(self.dir / "cache.db")) as cache, cache:
            cache.execute("UPDATE keys SET plain = 0")

    def do(self, verb: str, promises: Promises, tell: Callable[[], None]) -> None:
        """One verb; 'tell' what is promised as it goes."""
        word, *rest = verb.split()
        name = self.names.get(rest[0], "") if rest else ""
        if word == "build":
            self.names[rest[0]] = name = self.build(rest[0])
            promises.ready.add(name)
        elif word == "base":
            must("aq", "base", "add", PYTHON, "--file", self.request("p"))
            promises.bases |= bases()
            promises.ready |= promises.bases
        elif word == "fail":
            client = self.conf.with_name("bin") / "FAULT"
            client.write_text("cached-half")
            run(["aq", "build", self.request(rest[0])])
            client.write_text("cached")
            forget_failures(self.dir)
        elif word == "flow":
            promises.ready &= {name}  # what it leaves goes with the next collection
            tell()
            self.move_workflow(rest[0])
        elif word == "pin":
            must("aq", "pin", name)
            promises.pinned.add(name)
        elif word == "unpin":
            promises.pinned.discard(name)
            tell()
            must("aq", "unpin", name)
        elif word == "gc":
            if ALL_GO[0] in self.conf.read_text().splitlines():
                promises.ready &= promises.pinned
            tell()
            must("aq", "gc")
        tell()

    def rows(self) -> dict[str, bool]:
        """Environments that have one, and whether they are pinned."""
        if not (self.dir / "cache.db").exists():
            return {}
        listed = json.loads(must("aq", "list", "--json"))["environments"]
        return {e["name"]: e["pinned"] for e in listed}

    def has_caught_up(self) -> bool:
        """No environment waits for its byte-code."""
        return not any((self.dir / "work" / "bytecode" / "pending").glob("*"))

    def come_between(self, made: str) -> None:
        """Right after 'made' is there somebody else flushes what is theirs, as other builders
        do: names go to disk with that, though what the files hold need not.  Who made it
        has to wait for cache.db before it flushes anything itself.
        """
        trees = self.dir / "work" / "bytecode" / PYTHON
        wait_until("it is compiled", lambda: len([*trees.glob("*")]) > 1)
        with contextlib.closing(sqlite3.connect(self.dir / "cache.db")) as db:
            db.execute("BEGIN EXCLUSIVE")
            wait_until("it is there", lambda: any(self.dir.glob(made)))
            with (self.dir / "neighbour").open("wb") as file:
                os.fsync(file.fileno())

    def is_quiet(self) -> bool:
        """No builder goes on after its answer, nor its collector."""
        return not goes_on(self.conf)

    def findings(self) -> list[dict[str, str]]:
        """What is damaged: not what waits for the next builder or collector."""
        if not (self.dir / "cache.db").exists():
            return []
        done = run(["aq", "verify", "--contents", "--json"])
        if done.returncode not in (0, 3):
            raise WrongError(f"aq verify: {done.stderr}")
        found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
        return [f for f in found if f["finding"] != "orphan"]

    def files(self, name: str) -> Files:
        """What an environment has."""
        top = self.dir / "envs" / name
        return {
            str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }


def check(
    cache: Cache, known: dict[str, Files], promises: Promises, *, has_all: bool = False
) -> None:
    """What somebody was told is so, and what has a row is whole; its byte-code may come
    later, unless it 'has_all', but never in part.
    """
    rows = cache.rows()
    if lost := promises.ready - rows.keys():
        raise WrongError(f"lost: {lost}")
    if unpinned := {n for n in promises.pinned if not rows[n]}:
        raise WrongError(f"not pinned any more: {unpinned}")
    if promises.bases - (bases() if promises.bases else set()):
        raise WrongError(f"no base any more: {promises.bases}")
    for name in rows:
        files = cache.files(name)
        # a generation is not part of what an environment holds
        want = known[name.split("-")[0]]
        wrong = {p for p, text in want.items() if files.get(p) != text}
        if wrong := {p for p in wrong if has_all or p in files or not p.endswith(".pyc")}:
            raise WrongError(f"{name} is not what it was: {wrong}")
    # a base is marked before its row: what was not answered waits for the next one
    if found := [f for f in cache.findings() if promises.bases or f["finding"] != "base"]:
        raise WrongError(f"damaged: {found}")


# -- the disk --


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    """For it to be so."""
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise WrongError(f"still not so after {SECONDS} s: {what}")
        time.sleep(0.02)


def unmount(where: Path) -> None:
    """Once what goes on after an answer has ended."""
    wait_until(f"{where} is unmounted", lambda: run(["umount", str(where)]).returncode == 0)


@contextlib.contextmanager
def mounted(device: Path, where: Path) -> Iterator[None]:
    """A file, or a loop device."""
    options = "nosuid,nodev" + (",loop" if device.is_file() else "")
    command("mount", "-o", options, device, where)
    try:
        yield
    finally:
        unmount(where)


@contextlib.contextmanager
def watched(program: Path, image: Path, log: Path, where: Path) -> Iterator[Path]:
    """The image as a device, of which 'log' gets all writes."""
    where.mkdir()
    with subprocess.Popen([program, image, log, where]) as disk:
        try:
            wait_until("the disk is there", (where / "image").exists)
            device = command("losetup", "--find", "--show", where / "image")
            try:
                yield Path(device)
            finally:  # if it is not in use; else with its unmount
                run(["losetup", "--detach", device])
        finally:
            unmount(where)
            disk.wait(SECONDS)


# -- all of it --


class Trial:
    """An operation on a file system."""

    def __init__(self, conf: Path, file_system: str, operation: str) -> None:
        """With its files beside 'conf'."""
        self.operation = OPERATIONS[operation]
        self.dir = conf.parent / "power"
        self.dir.mkdir()
        self.image, self.log, self.cut = (self.dir / n for n in ("image", "log", "cut"))
        self.disk = Path(os.environ["IT_INSTALL"], "tests/disk")
        self.size, self.mkfs = FILE_SYSTEMS[file_system]
        self.cache = Cache(conf)
        self.cache.dir.mkdir(exist_ok=True)
        self.known: dict[str, Files] = {}

    def learn(self) -> None:
        """What environments are when they are whole."""
        wait_until("all have their byte-code", self.cache.has_caught_up)
        for name in self.cache.rows():
            self.known.setdefault(name.split("-")[0], self.cache.files(name))

    def prepare(self) -> Promises:
        """A disk, and what is done before it is watched."""
        promises = Promises()
        with self.image.open("wb") as file:
            file.truncate(self.size)
        command(*self.mkfs, self.image)
        self.cache.boot()
        with mounted(self.image, self.cache.dir):
            self.cache.dir.chmod(0o755)
            for verb in self.operation.before:
                self.cache.do(verb, promises, lambda: None)
            self.learn()
            wait_until("nobody builds", self.cache.is_quiet)
        # builders collect, too
        conf = self.cache.conf
        conf.write_text(conf.read_text() + "".join(f"{x}\n" for x in self.operation.limits))
        return promises

    def record(self, promises: Promises) -> None:
        """The operation, on a disk that remembers."""
        copy = self.dir / "watched"
        command("cp", self.image, copy)
        where = self.dir / "disk"
        mark = where / "mark"
        with (
            watched(self.disk, copy, self.log, where) as device,
            mounted(device, self.cache.dir),
        ):

            def tell() -> None:
                mark.write_text(promises.text())

            tell()
            for verb in self.operation.verbs:
                self.cache.do(verb, promises, tell)
            if self.operation.first:
                self.cache.come_between(self.operation.first)
            self.learn()
        copy.unlink()

    def look(self, more: list[Write], promises: Promises) -> None:
        """Boot from it, look, and go on."""
        command("cp", self.image, self.cut)
        write_to(self.cut, more)
        self.cache.boot()
        with mounted(self.cut, self.cache.dir):
            check(self.cache, self.known, promises)
            again = promises.copy()
            for verb in self.operation.verbs:
                self.cache.do(verb, again, lambda: None)
            check(self.cache, self.known, again)
            for verb in self.operation.after:
                self.cache.do(verb, again, lambda: None)
                self.learn()
            wait_until("nobody builds", self.cache.is_quiet)
            heal(self.cache.dir)
            check(self.cache, self.known, again, has_all=bool(self.operation.after))

    def first(self) -> int:
        """That one."""
        writes, flushes = read_flushes(self.log)

        def has_it(flush: tuple[int, str]) -> bool:
            command("cp", self.image, self.cut)
            write_to(self.cut, writes[: flush[0]])
            with mounted(self.cut, self.cache.dir):
                return any(self.cache.dir.glob(self.operation.first))

        at = bisect.bisect_left(flushes, True, key=has_it)
        n, told = flushes[at]
        try:
            self.look(writes[:n], Promises.of(told))
        except WrongError as wrong:
            raise WrongError(f"at flush {at} of {len(flushes)}: {wrong}") from wrong
        return 1

    def cuts(self, every: int, dice: random.Random) -> int:
        """One after the other; returns how many."""
        if self.operation.first:
            return self.first()
        n = 0
        for cut in read_log(self.log, self.image):
            if cut.writes % every:
                continue
            for lost in (False, True) if cut.unflushed else (False,):
                more = lose(cut.unflushed, dice) if lost else cut.unflushed
                try:
                    self.look(more, Promises.of(cut.told))
                except WrongError as wrong:
                    what = f"{len(more)} of {len(cut.unflushed)} unflushed" if lost else "all"
                    raise WrongError(f"after write {cut.writes} ({what}): {wrong}") from wrong
                n += 1
        return n


def main(conf: str, file_system: str, operation: str, every: str) -> int:
    """See above."""
    trial = Trial(Path(conf), file_system, operation)
    seed = int(os.environ.get("AQ_SEED", "1"))
    try:
        trial.record(trial.prepare())
        n = trial.cuts(int(every), random.Random(seed))  # noqa: S311
    except WrongError as wrong:
        print(f"{operation} on {file_system}, seed {seed}: {wrong}")
        return 1
    finally:
        if "AQ_IT_KEEP" not in os.environ:
            shutil.rmtree(trial.dir)
    print(f"{operation} on {file_system}: {n} cuts")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
