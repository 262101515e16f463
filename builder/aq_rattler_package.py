# SPDX-License-Identifier: Apache-2.0
"""A conda package of a lock, and its place in aq-rattler's package cache."""

from __future__ import annotations

import contextlib
import fcntl
import json
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from rattler import PackageRecord, RepoDataRecord
from rattler.package_streaming import extract

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXIT_REFUSED = 3  # what is asked for cannot be had, or may not be
EXIT_TAKEN = 4  # another archive's package has the place
# rattler's PLACE.lock: how often the place was filled, and of which archive
REVISION = struct.Struct(">Q")


class Package:
    """A conda package of a lock."""

    def __init__(self, line: str, args: argparse.Namespace) -> None:
        """Know its fields, and where it lies."""
        self.url, self.sha256, self.name, self.version, self.build = line.split()
        self.place = Path(args.cache) / f"{self.name}-{self.version}-{self.build}"
        end = next((e for e in (".conda", ".tar.bz2") if self.url.endswith(e)), "")
        self.archive = Path(args.archives) / f"{self.sha256}{end}" if args.archives else None
        self.mark = Path(args.archives) / f"{self.sha256}.unpacked" if args.archives else None
        self.lock = Path(f"{self.place}.lock")
        self.has_record = getattr(args, "record", False)
        if self.url.startswith("file://"):  # as near as an archive could be
            self.archive = Path(unquote(urlsplit(self.url).path))

    def record(self) -> RepoDataRecord:
        """What its channel says of it, as far as it says so itself."""
        index = self.place / "info" / "index.json"
        channel, _, file_name = self.url.rsplit("/", 2)
        said = PackageRecord.from_index_json(index, sha256=self.sha256)
        return RepoDataRecord(said, file_name, self.url, channel)

    def note(self) -> None:
        """Have rattler know of which archive the place is, as it notes that itself.

        Without it rattler would take any archive's package for the one that it wants.
        """
        old, sha256 = content(self.lock) or b"", bytes.fromhex(self.sha256)
        if old[REVISION.size :] == sha256:
            return
        times = REVISION.unpack(old[: REVISION.size])[0] if len(old) >= REVISION.size else 0
        self.lock.write_bytes(REVISION.pack(times + 1) + sha256)

    def write_record(self, made: Path) -> None:
        """Beside what was unpacked there: as conda knows a package of its cache, and the cache."""
        channel, _, file_name = self.url.rpartition("/")
        said = json.loads((made / "info" / "index.json").read_bytes())
        said |= {"url": self.url, "sha256": self.sha256, "fn": file_name, "channel": channel}
        (made / "info" / "repodata_record.json").write_text(json.dumps(said))
        (self.place.parent / "urls.txt").touch()

    def is_here(self) -> bool:
        """Whether its archive is."""
        return self.archive is not None and self.archive.exists()

    def is_unpacked(self) -> bool:
        """Whether this build has unpacked it, and no other archive's is there since."""
        noted = (content(self.lock) or b"")[REVISION.size :]
        return self.mark is not None and self.mark.exists() and noted.hex() == self.sha256

    def is_at(self, made: Path) -> bool:
        """Whether the place has what was unpacked there, as far as its index says.

        That each file is what the index says is seen before anything is committed.
        """
        names = ("info/index.json", "info/paths.json", "info/files")
        return all(content(self.place / name) == content(made / name) for name in names)

    def unpack(self) -> None:
        """Into its place in the cache, at once; what another build put there is only looked at."""
        import shutil  # as tempfile: slow, and what is cached needs neither
        import tempfile

        assert self.archive is not None
        made = Path(tempfile.mkdtemp(prefix=".aq-", dir=self.place.parent))
        try:
            made.chmod(0o755)
            sha256, _ = extract(self.archive, made)
            if sha256.hex() != self.sha256:
                sys.exit(f"{self.archive} is damaged")
            if self.has_record:
                self.write_record(made)
            with locked(self.place.parent):
                if self.place.exists() and not self.is_at(made):
                    print(f"{self.place.name} is another archive's", file=sys.stderr)
                    sys.exit(EXIT_TAKEN)
                self.note()
                if not self.place.exists():
                    made.rename(self.place)
            if self.mark:
                self.mark.touch()
        finally:
            shutil.rmtree(made, ignore_errors=True)


def content(path: Path) -> bytes | None:
    """What the file has, if there is one."""
    return path.read_bytes() if path.exists() else None


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Be alone with the package cache, as rattler is while it installs."""
    with (cache / ".cache.lock").open("a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def packages_of(
    given: dict[str, list[str]], args: argparse.Namespace, kind: str = "conda"
) -> list[Package]:
    """All conda packages of the lock, or those that come."""
    return [Package(line, args) for line in given.get(kind, [])]


def unknown_of(
    given: dict[str, list[str]], args: argparse.Namespace, kind: str = "conda"
) -> list[Package]:
    """Those that do not lie in the cache, looked at."""
    known = set(given.get("checked", []))
    return [p for p in packages_of(given, args, kind) if p.place.name not in known]
