# SPDX-License-Identifier: Apache-2.0
"""The log of a disk that remembers (tests/it/disk.c): what the disk holds if the power
goes at any place of it.
"""

from __future__ import annotations

import dataclasses
import random
import struct
from collections.abc import Iterator
from pathlib import Path

RECORD = struct.Struct("=3Q")  # struct record
WRITE, FLUSH, MARK = range(3)
SECTOR = 4096  # bytes that a disk writes whole

Write = tuple[int, bytes]  # where, and what


@dataclasses.dataclass
class Cut:
    """The power goes before what is next in the log."""

    writes: int  # that had been made
    unflushed: list[Write]  # the last of them, that may not be on disk
    told: str  # the last mark, or nothing


def write_to(path: Path, writes: list[Write]) -> None:
    """In their order."""
    with path.open("r+b") as file:
        for where, what in writes:
            file.seek(where)
            file.write(what)


def records(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Of a log: what, where, and its bytes."""
    data = memoryview(path.read_bytes())
    at = 0
    while at < len(data):
        kind, offset, size = RECORD.unpack_from(data, at)
        at += RECORD.size + size
        yield kind, offset, bytes(data[at - size : at])


def read_log(path: Path, image: Path) -> Iterator[Cut]:
    """Every place where it can go; 'image' is what the disk holds but for the unflushed."""
    writes = 0
    unflushed: list[Write] = []
    told = ""
    for kind, offset, what in records(path):
        if kind == WRITE:
            yield Cut(writes, list(unflushed), told)
            unflushed.append((offset, what))
            writes += 1
        elif kind == FLUSH:
            write_to(image, unflushed)
            unflushed = []
        else:
            told = what.decode()
    yield Cut(writes, list(unflushed), told)


def read_flushes(path: Path) -> tuple[list[Write], list[tuple[int, str]]]:
    """All writes, and of each flush how many there were, and the last mark."""
    writes: list[Write] = []
    flushes: list[tuple[int, str]] = []
    told = ""
    for kind, offset, what in records(path):
        if kind == WRITE:
            writes.append((offset, what))
        elif kind == FLUSH:
            flushes.append((len(writes), told))
        else:
            told = what.decode()
    return writes, flushes


def lose(unflushed: list[Write], dice: random.Random) -> list[Write]:
    """Some of them, and the last in part: a disk writes in what order it likes."""
    kept = [w for w in unflushed if dice.random() < 0.5]
    if kept:
        where, what = kept.pop()
        kept.append((where, what[: dice.randrange(len(what) // SECTOR + 1) * SECTOR]))
    return kept
