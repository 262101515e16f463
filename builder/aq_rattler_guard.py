# SPDX-License-Identifier: Apache-2.0
"""What a package may have that aq-rattler links (builder/packages_judge.c asks the same)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rattler.install.installer import InstallerReporter

from aq_rattler_package import EXIT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rattler import RepoDataRecord


def leaves_prefix(path: str) -> bool:
    """Whether it is no path below where it is joined to, written in the one way."""
    return any(part in ("", ".", "..") for part in path.split("/"))


def paths_of(package: Path) -> list[str]:
    """What the unpacked package says that it has."""
    import json

    info = package / "info"
    for name in ("paths.json", "files"):  # as rattler reads them
        if not (info / name).exists():
            continue
        raw = (info / name).read_bytes()
        if name == "files":
            return raw.decode().splitlines()
        return [entry["_path"] for entry in json.loads(raw)["paths"]]
    raise FileNotFoundError(info)


def are_apart(one: str, other: str) -> bool:
    """Whether neither of two directories is in the other."""
    return not f"{one}/".startswith(f"{other}/") and not f"{other}/".startswith(f"{one}/")


def is_elsewhere(target: str, cache: str) -> bool:
    """Whether an absolute link leads to where we cannot write (packages_judge.c)."""
    is_ours = any(f"{target}/".startswith(p) for p in ("/proc/", "/dev/fd/"))
    if is_ours or leaves_prefix(target[1:]) or not are_apart(target, cache):
        return False
    return are_apart(os.path.realpath(target), os.path.realpath(cache))


def left_by_link(path: str, target: str, cache: str) -> list[str] | None:
    """Directories that a link at this path of a prefix leads through by ".."; None: it leads out.

    From site-packages, which is elsewhere in the prefix, it leaves only what is there too.
    """
    if target.startswith("/"):
        return [] if is_elsewhere(target, cache) else None
    at, left = path.split("/")[:-1], []
    is_moved, has_entered = path.startswith("site-packages/"), False
    for part in target.split("/"):
        if part == "..":
            if not at or (is_moved and has_entered and at[0] != "site-packages"):
                return None
            if has_entered:
                left.append("/".join(at))
            at.pop()
        elif part not in ("", "."):
            at.append(part)
            has_entered = True
    return left


class Guard(InstallerReporter):
    """Looks at each package when it is unpacked and not linked yet.

    rattler joins the paths of a package to the prefix as they are: with ".." one
    could replace what another package has in the cache, for all who link it later.
    """

    def __init__(
        self,
        cache: Path,
        records: list[RepoDataRecord],
        checked: set[str],
        links: list[str],
        on_linked: Callable[[], None],
    ) -> None:
        """Know where each package is unpacked, what was looked at, and who is told."""
        self.cache = cache
        self.places = {
            r.name.normalized: cache / f"{r.name.normalized}-{r.version}-{r.build}" for r in records
        }
        pythons = (str(r.version) for r in records if r.name.normalized == "python")
        self.python = ".".join(next(pythons, "").split(".")[:2])
        self.checked = checked
        self.on_linked = on_linked
        self.links: set[str] = set()
        self.above_links: set[str] = set()
        # of packages that were looked at one by one, each in another build perhaps
        self.crossed = [path for path in links if not self.note_link(path)]

    def note_link(self, path: str) -> bool:
        """Whether no link is on the way to it, nor it on the way to one.

        Packages of Python alone do not say which that is.
        """
        is_alone = self.note_place(path)
        if path.startswith("python-scripts/"):
            is_alone &= self.note_place(f"bin/{path.removeprefix('python-scripts/')}")
        if path.startswith("site-packages/"):
            is_alone &= self.note_place(f"lib/python{self.python}/{path}")
        return is_alone

    def note_place(self, path: str) -> bool:
        """Do so for a path as it is in the prefix."""
        above = {path[:i] for i, c in enumerate(path) if c == "/"}
        is_alone = self.links.isdisjoint(above) and path not in self.above_links
        self.links.add(path)
        self.above_links |= above
        return is_alone

    def why_not(self, package: Path) -> str | None:
        """Say what is wrong with it, or nothing."""
        paths = paths_of(package)
        for bad in filter(leaves_prefix, paths):
            return f"has a path that leads out of the prefix: {bad!r}"
        parents = {os.path.dirname(path) for path in paths}  # noqa: PTH120  # many
        real = package.resolve()
        for parent in parents:
            there = os.path.realpath(real / parent)
            if there != os.path.normpath(real / parent):
                return f"has only through a link its directory {parent!r}"
        for path in paths:
            where = os.path.join(package, path)  # noqa: PTH118  # many
            if not os.path.islink(where):  # noqa: PTH114
                continue
            target = os.readlink(where)  # noqa: PTH115
            left = left_by_link(path, target, str(self.cache.parent))
            if left is None:
                return f"has a link that climbs out of the environment: {path!r}"
            for place in [path, *(f"{directory}/." for directory in left)]:
                if not self.note_link(place):
                    return f"has a link where another link leads: {place!r}"
        return None

    def on_link_start(self, operation: int, package_name: str) -> int:
        """End at once, before anything of it is linked, if it is a bad one."""
        try:
            place = self.places[package_name]
            why = None if place.name in self.checked else self.why_not(place)
        except Exception as e:  # whatever is wrong with it, it is not linked
            why = f"has paths that cannot be read: {e!r}"
        if why:
            print(f"package '{package_name}' {why}", file=sys.stderr, flush=True)
            os._exit(EXIT_REFUSED)
        return 0

    def on_link_complete(self, index: int) -> None:  # as rattler calls it
        """Say so."""
        self.on_linked()
