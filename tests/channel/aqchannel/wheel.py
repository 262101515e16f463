# SPDX-License-Identifier: Apache-2.0
"""A wheel (PEP 427) as a conda package: noarch if it is pure, else linux-64."""

from __future__ import annotations

import configparser
import re
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aqchannel.archive import PLACEHOLDER, Package, pack, put
from aqchannel.cpython import GLIBC, compile_modules, tag

CONDA_NAMES = {"tzdata": "python-tzdata"}
"""PyPI names that conda-forge spells otherwise."""

SCRIPT = """#!{python}
import sys
from {module} import {top}
if __name__ == '__main__':
    sys.exit({function}())
"""


@dataclass
class Wheel:
    """What a wheel says about itself, and where its parts go."""

    path: Path
    python: str
    metadata: Message
    dist_info: str
    is_pure: bool

    @property
    def name(self) -> str:
        return conda_name(self.metadata["Name"])

    @property
    def version(self) -> str:
        return str(self.metadata["Version"])

    @property
    def site_packages(self) -> str:
        return "site-packages" if self.is_pure else f"lib/python{self.python}/site-packages"

    @property
    def scripts(self) -> str:
        return "python-scripts" if self.is_pure else "bin"


def conda_name(pypi_name: str) -> str:
    """The name under which conda knows a distribution of PyPI."""
    name = canonicalize_name(pypi_name)
    return CONDA_NAMES.get(name, name)


def is_pure(path: Path) -> bool:
    """Whether the wheel's file name says that any Python can use it."""
    return path.name.endswith("-none-any.whl")


def pack_wheel(path: Path, python: str, interpreter: Path, stage: Path, channel: Path) -> None:
    """Repack one wheel for Python X.Y; stage is a directory of its own.

    A noarch package's dependencies are those that its markers give for this
    python: the caller passes the oldest.
    """
    with zipfile.ZipFile(path) as archive:
        wheel = _open(path, python, archive)
        package = _describe(wheel)
        root = stage / package.stem
        root.mkdir(parents=True)
        _unpack(archive, wheel, root, package)
        entry_points = _entry_points(archive, wheel)
    put(root, f"{wheel.site_packages}/{wheel.dist_info}/INSTALLER", "conda\n")
    if wheel.is_pure:
        package.entry_points = entry_points
    else:
        _write_scripts(entry_points, root, package)
        compile_modules(root, python, interpreter)
    pack(root, package, channel)


def _open(path: Path, python: str, archive: zipfile.ZipFile) -> Wheel:
    pattern = re.compile(r"([^/]+\.dist-info)/METADATA")
    dist_info = next(m[1] for m in map(pattern.fullmatch, archive.namelist()) if m)
    metadata = HeaderParser().parsestr(archive.read(f"{dist_info}/METADATA").decode())
    return Wheel(path, python, metadata, dist_info, is_pure(path))


def _describe(wheel: Wheel) -> Package:
    depends = _depends(wheel)
    if wheel.is_pure:
        requires = re.sub(r"\s", "", wheel.metadata["Requires-Python"] or ">=3.8")
        depends.append(f"python {requires}")
        build, subdir = "pyhaq_0", "noarch"
    else:
        minor = int(wheel.python.split(".")[1])
        depends.append(f"python >={wheel.python},<3.{minor + 1}.0a0")
        depends += [f"python_abi {wheel.python}.* *_{tag(wheel.python)}", GLIBC]
        build, subdir = f"py{wheel.python.replace('.', '')}haq_0", "linux-64"
    said = wheel.metadata["License-Expression"] or wheel.metadata["License"] or "?"
    return Package(
        name=wheel.name,
        version=wheel.version,
        build=build,
        subdir=subdir,
        depends=depends,
        noarch="python" if wheel.is_pure else None,
        license=said.strip().splitlines()[0][:40],
    )


def _depends(wheel: Wheel) -> list[str]:
    """Requires-Dist as match specs, for Linux on x86_64 and no extra."""
    environment = {
        "python_version": wheel.python,
        "python_full_version": f"{wheel.python}.0",
        "extra": "",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    wanted = map(Requirement, wheel.metadata.get_all("Requires-Dist") or [])
    return sorted(_match_spec(r) for r in wanted if not r.marker or r.marker.evaluate(environment))


def _match_spec(requirement: Requirement) -> str:
    versions = ",".join(sorted(str(s) for s in requirement.specifier))
    versions = re.sub(r"==([^,]+)\.\*", r"\1.*", versions)
    return f"{conda_name(requirement.name)} {versions}".strip()


def _unpack(archive: zipfile.ZipFile, wheel: Wheel, root: Path, package: Package) -> None:
    """Spread the wheel's files over root, .data directories included."""
    data = wheel.dist_info.removesuffix(".dist-info") + ".data/"
    for name in archive.namelist():
        if name.endswith("/"):
            continue
        content = archive.read(name)
        is_program = bool((archive.getinfo(name).external_attr >> 16) & 0o111)
        target = f"{wheel.site_packages}/{name}"
        if name.startswith(data):
            kind, rest = name[len(data) :].split("/", 1)
            target = _data_target(kind, rest, wheel)
            if kind == "scripts":
                is_program = True
                if content.startswith(b"#!python"):
                    content = f"#!{PLACEHOLDER}/bin/python".encode() + content[8:]
                    package.prefix_files[target] = "text"
        put(root, target, content, 0o755 if is_program else 0o644)


def _data_target(kind: str, rest: str, wheel: Wheel) -> str:
    directory = {
        "purelib": wheel.site_packages,
        "platlib": wheel.site_packages,
        "scripts": wheel.scripts,
        "headers": f"include/{wheel.name}",
    }.get(kind)
    return f"{directory}/{rest}" if directory else rest


def _entry_points(archive: zipfile.ZipFile, wheel: Wheel) -> list[str]:
    """The console scripts, as "name = module:function"."""
    name = f"{wheel.dist_info}/entry_points.txt"
    if name not in archive.namelist():
        return []
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(archive.read(name).decode())
    if not parser.has_section("console_scripts"):
        return []
    scripts = parser.items("console_scripts")
    return [f"{key} = {value.split('[')[0].strip()}" for key, value in scripts]


def _write_scripts(entry_points: list[str], root: Path, package: Package) -> None:
    """What a client makes of a noarch package's entry points, made here."""
    for entry_point in entry_points:
        name, target = (part.strip() for part in entry_point.split("=", 1))
        module, function = target.split(":")
        script = SCRIPT.format(
            python=f"{PLACEHOLDER}/bin/python",
            module=module,
            top=function.split(".")[0],
            function=function,
        )
        put(root, f"bin/{name}", script, 0o755)
        package.prefix_files[f"bin/{name}"] = "text"
