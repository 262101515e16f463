# SPDX-License-Identifier: Apache-2.0
"""CPython as a conda package, from the jar org.bytedeco:cpython.

The jar holds a relocatable build.  It is laid out as conda's python is, and
what the build machine's prefix left in text files becomes the placeholder.
3.9 lacks _lzma, _sqlite3, _curses and readline.
"""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

from aqchannel.archive import PLACEHOLDER, FileMode, Package, pack, put, settle

JAR_ROOT = "org/bytedeco/cpython/linux-x86_64/"
BUILD_PREFIX = re.compile(rb"/[\w/.-]*?/cpython/cppbuild/linux-x86_64")
UNWANTED = (
    "test/",
    "site-packages/",
    "idlelib/",
    "turtledemo/",
    "lib-dynload/nis.",
    "lib-dynload/_gdbm.",
)
"""Parts of the library that are big, or need what the jar does not have."""

GLIBC = "__glibc >=2.17,<3.0.a0"
"""Every native package asks for the virtual package of the C library."""


def tag(version: str) -> str:
    """The tag of wheels and python_abi: "3.9" becomes cp39."""
    return "cp" + version.replace(".", "")


def stage(version: str, jar: Path, root: Path) -> None:
    """Unpack the jar into root, so that root/bin/python runs."""
    root.mkdir(parents=True)
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if not name.startswith(JAR_ROOT) or name.endswith("/"):
                continue
            target = _target(name[len(JAR_ROOT) :], version)
            if target:
                is_program = target.startswith("bin/") or ".so" in target
                put(root, target, archive.read(name), 0o755 if is_program else 0o644)
    for link, target in (
        ("bin/python", f"python{version}"),
        ("bin/python3", f"python{version}"),
        (f"lib/libpython{version}.so", f"libpython{version}.so.1.0"),
    ):
        (root / link).symlink_to(target)
    put(root, f"lib/python{version}/site-packages/README.txt", "third-party packages\n")


def pack_python(version: str, jar: Path, root: Path, channel: Path) -> None:
    """Pack what stage() made in root, and the python_abi that goes with it."""
    full_version = re.search(r"cpython-([\d.]+)-", jar.name)
    if not full_version:
        raise ValueError(f"cannot tell the version of Python from '{jar.name}'")
    prefix_files = _hide_build_prefix(root)
    compile_modules(root, version, root / "bin" / f"python{version}")
    python = Package(
        name="python",
        version=full_version[1],
        build="haq_0_cpython",
        subdir="linux-64",
        depends=[GLIBC, "tzdata"],
        constrains=[f"python_abi {version}.* *_{tag(version)}"],
        license="PSF-2.0",
        site_packages=f"lib/python{version}/site-packages",
        prefix_files=prefix_files,
    )
    pack(root, python, channel)
    empty = root.with_name(f"{root.name}-abi")
    empty.mkdir()
    abi = Package(
        name="python_abi",
        version=version,
        build=f"1_{tag(version)}",
        build_number=1,
        subdir="linux-64",
        constrains=[f"python {version}.*"],
    )
    pack(empty, abi, channel)


def compile_modules(root: Path, version: str, interpreter: Path) -> None:
    """Byte-compile root's library, as conda-build does for native packages.

    Some packages carry files that are meant not to compile, so the exit
    status says nothing.
    """
    settle(root)
    library = root / "lib" / f"python{version}"
    options = ["-I", "-m", "compileall", "-q", "-s", str(root), "-p", ""]
    subprocess.run([interpreter, *options, library], check=False, capture_output=True)


def _target(name: str, version: str) -> str | None:
    """Where a file of the jar goes below the prefix; None: left out."""
    library = f"lib/python{version}/"
    if name.startswith(f"libpython{version}.so"):
        return f"lib/{name}"
    if re.fullmatch(r"libffi\.so\.\d+", name):
        return f"{library}lib-dynload/{name}"  # RUNPATH of _ctypes is $ORIGIN
    if not name.startswith(("bin/", "lib/python", "include/", "share/")):
        return None
    if name.startswith(tuple(library + part for part in UNWANTED)):
        return None
    if re.match(r"bin/(pip|idle|2to3|c_rehash|python3$|python3-config$)", name):
        return None
    return name


def _hide_build_prefix(root: Path) -> dict[str, FileMode]:
    """Put the placeholder where text files name the prefix of the build."""
    changed: dict[str, FileMode] = {}
    for directory, _, files in os.walk(root):
        for name in files:
            path = Path(directory, name)
            if path.is_symlink():
                continue
            content = path.read_bytes()
            if b"\0" in content[:4096] or not BUILD_PREFIX.search(content):
                continue
            path.write_bytes(BUILD_PREFIX.sub(PLACEHOLDER.encode(), content))
            changed[str(path.relative_to(root))] = "text"
    return changed
