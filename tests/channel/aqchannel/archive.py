# SPDX-License-Identifier: Apache-2.0
"""The .conda archive: a staged directory in, one file of the channel out.

Format: a stored zip of metadata.json, pkg-*.tar.zst (the files) and
info-*.tar.zst (index.json, paths.json and friends), see conda's CEP 26.
Everything is written with one fixed time, so that the same recipe gives the
same bytes and compiled Python files stay valid.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FileMode = Literal["text", "binary"]

EPOCH = 1_700_000_000
"""Seconds: the time of every file, 2023-11-14."""

ZIP_DATE = (2023, 11, 14, 0, 0, 0)
ZSTD_LEVEL = 3
"""Low: the channel is read from local disk, packing is what takes time."""

PLACEHOLDER = ("/opt/_h_env" + "_placehold" * 30)[:255]
"""What clients replace by the prefix; 255 bytes, as conda-build makes it."""


@dataclass
class Package:
    """One package: what index.json says, and what it needs besides files."""

    name: str
    version: str
    build: str
    subdir: str
    depends: list[str] = field(default_factory=list)
    constrains: list[str] = field(default_factory=list)
    build_number: int = 0
    noarch: Literal["python", "generic"] | None = None
    license: str = "see package"
    site_packages: str | None = None
    """python itself: where its site-packages lie, below the prefix."""
    entry_points: list[str] = field(default_factory=list)
    """noarch python: "name = module:function", made by the client."""
    prefix_files: dict[str, FileMode] = field(default_factory=dict)
    """Files that hold PLACEHOLDER, by their path below the prefix."""

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return f"{self.name}-{self.version}-{self.build}"

    def path(self, channel: Path) -> Path:
        """Where the package lies in its channel."""
        return channel / self.subdir / f"{self.stem}.conda"

    def index(self) -> dict[str, object]:
        """What goes into info/index.json."""
        is_native = self.subdir != "noarch"
        index: dict[str, object] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.build_number,
            "subdir": self.subdir,
            "depends": self.depends,
            "constrains": self.constrains,
            "license": self.license,
            "timestamp": EPOCH * 1000,
            "arch": "x86_64" if is_native else None,
            "platform": "linux" if is_native else None,
        }
        if self.noarch:
            index["noarch"] = self.noarch
        if self.site_packages:
            index["python_site_packages_path"] = self.site_packages
        return index


def put(root: Path, name: str, content: bytes | str, mode: int = 0o644) -> None:
    """Write one staged file, with the directories above it."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


def settle(root: Path) -> None:
    """Give every file below root the fixed time."""
    for directory, _, files in os.walk(root):
        for name in files:
            os.utime(Path(directory, name), (EPOCH, EPOCH), follow_symlinks=False)


def pack(root: Path, package: Package, channel: Path) -> Path:
    """Write the staged directory root as a package; return the file."""
    names = _list_files(root)
    target = package.path(channel)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch_name:
        scratch = Path(scratch_name)
        info = scratch / "staged"
        _write_info(info / "info", root, names, package)
        _write_tar(scratch / "pkg", root, names)
        _write_tar(scratch / "info", info, _list_files(info))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            _add(archive, "metadata.json", b'{"conda_pkg_format_version": 2}')
            for part in ("pkg", "info"):
                content = (scratch / part).read_bytes()
                _add(archive, f"{part}-{package.stem}.tar.zst", content)
    return target


def _list_files(root: Path) -> list[str]:
    """All files and links below root (links to directories too), sorted."""
    found = []
    for directory, subdirectories, files in os.walk(root):
        links = [d for d in subdirectories if Path(directory, d).is_symlink()]
        found += [str(Path(directory, n).relative_to(root)) for n in files + links]
    return sorted(found)


def _write_info(info: Path, root: Path, names: list[str], package: Package) -> None:
    """Write the files that describe a package into the directory info."""

    def dump(name: str, value: object) -> None:
        put(info, name, json.dumps(value, indent=1, sort_keys=True))

    dump("index.json", package.index())
    dump("about.json", {"summary": package.name})
    dump("paths.json", {"paths_version": 1, "paths": [_describe(root, n, package) for n in names]})
    put(info, "files", "".join(f"{name}\n" for name in names))
    if package.prefix_files:
        lines = sorted(package.prefix_files.items())
        put(info, "has_prefix", "".join(f'"{PLACEHOLDER}" {m} "{n}"\n' for n, m in lines))
    if package.noarch == "python":
        noarch = {"type": "python", "entry_points": package.entry_points}
        dump("link.json", {"noarch": noarch, "package_metadata_version": 1})


def _describe(root: Path, name: str, package: Package) -> dict[str, object]:
    """One entry of paths.json."""
    path = root / name
    is_link = path.is_symlink()
    content = path.read_bytes() if path.is_file() else b""
    entry: dict[str, object] = {
        "_path": name,
        "path_type": "softlink" if is_link else "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if name in package.prefix_files:
        entry["file_mode"] = package.prefix_files[name]
        entry["prefix_placeholder"] = PLACEHOLDER
    return entry


def _write_tar(target: Path, root: Path, names: list[str]) -> None:
    """Write a compressed tar of the named files, owned by root."""
    with (
        zstd.open(target, "wb", level=ZSTD_LEVEL) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        for name in names:
            tar.add(root / name, name, recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = EPOCH
    return member


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content)
