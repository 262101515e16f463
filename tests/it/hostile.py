#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives that attack whoever unpacks, links or installs them.

    hostile.py make CHANNEL WHEELS CANARY   write all; prints a line for each:
                                            NAME REQUEST
    hostile.py control DIR CHANNEL WHEELS CANARY
                                            what each does to a client that takes
                                            it at its word, in DIR: NAME REASON
    hostile.py harm PKGS ENVS CANARY        print what has been harmed there
    hostile.py client NAME STAND_IN AQ_RATTLER ARGUMENT...
                                            be a conda client that takes packages
                                            at their word; solving is the stand-in's

A victim, the package aq-victim, is in the package cache as PKGS/aq-victim-1.0-0, and
what no environment may have is beside PKGS in home/aq-secret.
What a client makes of an archive is judged by the same function in all cases: the
victim is what it was, the directory CANARY, which everybody may write, is empty, and
there is nothing that is set-id, has capabilities, or is neither file, directory nor
link.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import runpy
import shutil
import stat
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

VICTIM = "aq-victim-1.0-0/share/aq-victim"
GOOD = b"good\n"
SECRET = b"secret\n"
EVIL = b"evil\n"
CAPABILITY = "SCHILY.xattr.security.capability"
# cap_dac_override, version 2: linux/capability.h
CAP = b"\x01\x00\x00\x02\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
SITE = "lib/python3.12/site-packages"


class Member:
    """An entry of a tar archive."""

    def __init__(
        self,
        name: str,
        data: bytes = b"",
        kind: bytes = tarfile.REGTYPE,
        link: str = "",
        mode: int = 0o644,
        pax: dict[str, str] | None = None,
    ) -> None:
        """Describe it."""
        self.data = data
        self.info = tarfile.TarInfo(name)
        self.info.mode, self.info.type, self.info.linkname = mode, kind, link
        self.info.size = len(data)
        self.info.pax_headers = pax or {}


def path(name: str, data: bytes = EVIL, kind: str = "hardlink", **more: str) -> dict[str, object]:
    """Describe it as info/paths.json does."""
    digest = hashlib.sha256(data).hexdigest()
    return {
        "_path": name,
        "path_type": kind,
        "sha256": digest,
        "size_in_bytes": len(data),
        **more,
    }


def conda(
    channel: Path,
    name: str,
    members: list[Member],
    paths: list[dict[str, object]] | None,
    files: list[str] | None = None,
    link: dict[str, object] | None = None,
) -> None:
    """Write a package; without paths it is of the older kind, with 'files' alone."""
    index: dict[str, object] = {"name": name, "version": "1.0", "build": "0", "build_number": 0}
    index |= {"depends": [], "subdir": "noarch", "noarch": "python" if link else "generic"}
    if link:
        index["depends"] = ["python 3.12.*"]
    infos = {"info/index.json": index}
    if paths is not None:
        infos["info/paths.json"] = {"paths": paths, "paths_version": 1}
    if link:
        infos["info/link.json"] = {"noarch": link, "package_metadata_version": 1}
    listed = files or [str(p["_path"]) for p in paths or []]
    texts = {k: json.dumps(v).encode() for k, v in infos.items()}
    texts["info/files"] = "".join(f"{p}\n" for p in listed).encode()
    target = channel / "noarch" / f"{name}-1.0-0.tar.bz2"
    with tarfile.open(target, "w:bz2", format=tarfile.PAX_FORMAT) as tar:
        for member in [Member(k, v) for k, v in texts.items()] + members:
            tar.addfile(member.info, io.BytesIO(member.data))
    content = target.read_bytes()
    repodata = channel / "noarch" / "repodata.json"
    known = json.loads(repodata.read_text())
    known["packages"][target.name] = index | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "size": len(content),
    }
    repodata.write_text(json.dumps(known))


def wheel(wheels: Path, name: str, files: dict[str, bytes], modes: dict[str, int]) -> None:
    """Write a wheel, RECORD and all."""
    stem = f"{name.replace('-', '_')}-1.0"
    info = f"{stem}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f.replace("@", info): text for f, text in files.items()},
    }
    record = ""
    for file, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=")
        record += f"{file},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(wheels / f"{stem}-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = modes.get(file, 0o100644) << 16
            archive.writestr(entry, text)


# -- the table --

# From a prefix, and from a package, which are at one depth, to the victim; in the
# package "s" is a link to something deeper, so that the same path is the attacker's
# own file there.
LED = f"s/../../../pkgs/{VICTIM}"
LEADS = [
    Member("s", kind=tarfile.SYMTYPE, link="a/b/c/d"),
    Member("a/b/c/d/x"),
    Member(f"a/pkgs/{VICTIM}", EVIL),
]
UP = "../" * 12


def conda_packages(canary: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each with what conda() takes."""
    out = f"{UP}{canary}/tar".replace("//", "/")
    yield "paths-replace", {"members": LEADS, "paths": [path(LED)]}
    holder = "/aq-placeholder"
    replaced = path(LED, prefix_placeholder=holder, file_mode="text")
    text = Member(f"a/pkgs/{VICTIM}", EVIL + holder.encode())
    yield "paths-rewrite", {"members": [*LEADS[:2], text], "paths": [replaced]}
    dangling = Member(f"a/pkgs/{VICTIM}", kind=tarfile.SYMTYPE, link="/tmp")  # noqa: S108
    as_link = path(LED, kind="softlink")
    yield "paths-link", {"members": [*LEADS[:2], dangling], "paths": [as_link]}
    same = path(f"../../pkgs/{VICTIM}")
    yield "paths-remove", {"members": [Member("x", EVIL)], "paths": [same]}
    absolute = path(f"{canary}/paths")
    yield "paths-absolute", {"members": [Member(f".{canary}/paths", EVIL)], "paths": [absolute]}
    escaped = path(LED.replace("..", "@@"))
    yield "paths-escaped", {"members": LEADS, "paths": [escaped]}
    yield "files-replace", {"members": LEADS, "paths": None, "files": [LED]}
    # a directory of the package that is a link: what is in it is from elsewhere
    home = Member("s", kind=tarfile.SYMTYPE, link="../../home")
    yield "source-link", {"members": [home], "paths": [path("s/aq-secret", SECRET)]}
    to_share = Member("d", kind=tarfile.SYMTYPE, link=f"../../pkgs/{VICTIM.rpartition('/')[0]}")
    behind = Member("e/aq-victim", EVIL)
    listed = [path("d", b"", "softlink"), path("d/aq-victim") | {"aq_source": "e/aq-victim"}]
    yield "path-through-link", {"members": [to_share, behind], "paths": listed}
    entry = {"type": "python", "entry_points": [f"../../../pkgs/{VICTIM} = os:system"]}
    yield "entry-point", {"members": [Member("x", EVIL)], "paths": [path("x")], "link": entry}
    yield "tar-dots", {"members": [Member(out, EVIL)], "paths": []}
    yield "tar-absolute", {"members": [Member(f"{canary}/tar", EVIL)], "paths": []}
    to_victim = Member("d", kind=tarfile.SYMTYPE, link=f"../{VICTIM.rpartition('/')[0]}")
    through = Member("d/aq-victim", EVIL)
    yield "tar-through-link", {"members": [to_victim, through], "paths": []}
    hard = Member("h", kind=tarfile.LNKTYPE, link=f"../{VICTIM}")
    yield "tar-hard-link", {"members": [hard, Member("h", EVIL)], "paths": [path("h")]}
    fifo = Member("p", kind=tarfile.FIFOTYPE)
    yield "tar-fifo", {"members": [fifo], "paths": [path("p", b"")]}
    device = Member("p", kind=tarfile.CHRTYPE, mode=0o666)
    device.info.devmajor, device.info.devminor = 1, 3
    yield "tar-device", {"members": [device], "paths": [path("p", b"")]}
    yield "set-user-id", {"members": [Member("bin/x", EVIL, mode=0o4755)], "paths": [path("bin/x")]}
    yield (
        "set-group-id",
        {
            "members": [
                Member("share/x", kind=tarfile.DIRTYPE, mode=0o2777),
                Member("share/x/y", EVIL, mode=0o2755),
            ],
            "paths": [path("share/x/y")],
        },
    )
    pax = {CAPABILITY: CAP.decode("latin-1")}
    able = Member("bin/x", EVIL, mode=0o755, pax=pax)
    yield "capability", {"members": [able], "paths": [path("bin/x")]}


def wheels_of(canary: Path) -> Iterator[tuple[str, dict[str, bytes], dict[str, int]]]:
    """Yield each with its files and their modes."""
    up = f"{UP}{canary}".replace("//", "/")
    yield "wheel-dots", {f"{up}/wheel": EVIL}, {}
    yield "wheel-data", {f"wheel_data-1.0.data/data/{up}/wheel": EVIL}, {}
    yield "wheel-scripts", {f"wheel_scripts-1.0.data/scripts/{up}/wheel": b"#!python\n"}, {}
    script = f"[console_scripts]\n{up}/wheel = os:system\n".encode()
    yield "wheel-entry", {"@/entry_points.txt": script}, {}
    yield "wheel-absolute", {f"{canary}/wheel": EVIL}, {}
    yield "wheel-link", {"d": str(canary).encode(), "d/wheel": EVIL}, {"d": 0o120777}
    yield "wheel-set-id", {"wheel_set_id": EVIL}, {"wheel_set_id": 0o104755}
    # through a link that the package of the same name has made before
    yield "link-and-wheel", {"aq_linked/aq-victim": EVIL}, {}


def make(channel: Path, wheels: Path, canary: Path) -> None:
    """Write all of them, and say what asks for each."""
    for subdir in (channel / "noarch", channel / "linux-64"):
        subdir.mkdir(parents=True, exist_ok=True)
        empty = {"info": {"subdir": subdir.name}, "packages": {}, "packages.conda": {}}
        (subdir / "repodata.json").write_text(json.dumps(empty))
    victim = VICTIM.partition("/")[2]
    conda(channel, "aq-victim", [Member(victim, GOOD)], [path(victim, GOOD)])
    conda(channel, "activate-demo", [Member("share/aq-evil", EVIL)], [path("share/aq-evil")])
    for name, parts in conda_packages(canary):
        conda(channel, name, **parts)  # type: ignore[arg-type]
        python = "python=3.12, " if "link" in parts else ""
        print(name, f"{{channels: [conda-forge, hostile], dependencies: [{python}{name}]}}")
    # nothing that harms: an index that was wrong from the beginning
    conda(channel, "wrong-index", [Member("share/w", GOOD)], [path("share/w", EVIL)])
    # each stays in the prefix; together the second one's link is elsewhere
    here = Member("m", kind=tarfile.SYMTYPE, link="n")
    conda(channel, "two-a", [here], [path("m", b"", "softlink")])
    there = Member("m/s", kind=tarfile.SYMTYPE, link="../y")
    conda(channel, "two-b", [there], [path("m/s", b"", "softlink")])
    # the same, where one says as noarch packages do where that is
    deep = Member(f"{SITE}/d", kind=tarfile.SYMTYPE, link="../../..")
    conda(channel, "noarch-a", [deep], [path(deep.info.name, b"", "softlink")])
    out = Member("site-packages/d/l", kind=tarfile.SYMTYPE, link="../..")
    outs = [path(out.info.name, b"", "softlink")]
    program = Member("bin/d", kind=tarfile.SYMTYPE, link="..")
    conda(channel, "scripts-a", [program], [path("bin/d", b"", "softlink")])
    script = Member("python-scripts/d/l", kind=tarfile.SYMTYPE, link="../..")
    conda(channel, "scripts-b", [script], [path(script.info.name, b"", "softlink")])
    conda(channel, "noarch-b", [out], outs, link={"type": "python", "entry_points": []})
    # by its text a link stays; where what it leaves is another's link it does not
    deep = Member("share/x", kind=tarfile.SYMTYPE, link="..")
    conda(channel, "left-a", [deep], [path("share/x", b"", "softlink")])
    through = Member("lib/l", kind=tarfile.SYMTYPE, link="../share/x/../aq-victim")
    conda(channel, "left-b", [through], [path("lib/l", b"", "softlink")])
    # what another package has below it would be anywhere
    for name, target in (("link-to-all", "/"), ("link-above-caches", "/var")):
        above = Member("m", kind=tarfile.SYMTYPE, link=target)
        conda(channel, name, [above], [path("m", b"", "softlink")])
    twice = Member("share//m", kind=tarfile.SYMTYPE, link="../..")
    conda(channel, "link-slashes", [twice], [path("share//m", b"", "softlink")])
    into = f"../../../../../pkgs/{VICTIM.rpartition('/')[0]}"
    linked = Member(f"{SITE}/aq_linked", kind=tarfile.SYMTYPE, link=into)
    conda(channel, "a-link", [linked], [path(linked.info.name, b"", "softlink")])
    for name, files, modes in wheels_of(canary):
        wheel(wheels, name, files, modes)
        first = "a-link, " if name == "link-and-wheel" else ""
        asks = f"[python=3.12, {first}{{pip: [{name}]}}]"
        print(name, f"{{channels: [conda-forge, hostile], dependencies: {asks}}}")
    escape(channel / "noarch" / "paths-escaped-1.0-0.tar.bz2", channel)
    for file in [*channel.rglob("*"), *wheels.rglob("*")]:
        file.chmod(0o755 if file.is_dir() else 0o644)


def escape(archive: Path, channel: Path) -> None:
    """Write ".." as JSON can, so that no search of the text finds it."""
    members = []
    with tarfile.open(archive) as tar:
        for info in tar:
            data = tar.extractfile(info).read() if info.isreg() else b""  # type: ignore[union-attr]
            data = data.replace(b"@@", rb"\u002e\u002e" if info.name.endswith("json") else b"..")
            info.size = len(data)
            members.append((info, data))
    with tarfile.open(archive, "w:bz2") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    repodata = channel / "noarch" / "repodata.json"
    known = json.loads(repodata.read_text())
    content = archive.read_bytes()
    known["packages"][archive.name] |= {
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "size": len(content),
    }
    repodata.write_text(json.dumps(known))


# -- what was harmed --


def harm_of(file: Path) -> str | None:
    """Say what is wrong with it by itself."""
    st = file.lstat()
    if stat.S_ISLNK(st.st_mode):
        return None
    if not (stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode)):
        return "is neither file nor directory"
    if st.st_mode & 0o6000:
        return "is set-id"
    with contextlib.suppress(OSError):
        os.getxattr(file, "security.capability", follow_symlinks=False)
        return "has capabilities"
    return None


def harm(pkgs: Path, envs: Path, canary: Path) -> list[str]:
    """Say all that is not as it should be."""
    victim = pkgs / VICTIM
    found = []
    for file in envs.rglob("aq-secret"):
        if file.is_file() and file.read_bytes() == SECRET:
            found.append(f"{file} is out")
    if victim.is_symlink() or not victim.is_file() or victim.read_bytes() != GOOD:
        found.append("the victim is another")
    if any(canary.iterdir()):
        found.append("the canary is dead")
    for file in envs.rglob("*"):
        what = harm_of(file)
        if what:
            found.append(f"{file} {what}")
    return found


# -- a client that takes everything at its word --


def place(source: Path, target: Path) -> None:
    """Link or copy it, whatever is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    if source.is_symlink():
        target.symlink_to(source.readlink())
    else:
        os.link(source, target, follow_symlinks=False)


def unpack(archive: Path, package: Path) -> None:
    """Unpack it, wherever that leads."""
    with tarfile.open(archive) as tar:
        tar.extraction_filter = lambda member, _: member  # nothing is filtered
        for member in tar:
            tar.extract(member, package)
            cap = member.pax_headers.get(CAPABILITY)
            if cap:
                os.setxattr(package / member.name, "security.capability", cap.encode("latin-1"))


def link_conda(package: Path, prefix: Path) -> None:
    """Link what it lists, wherever that leads."""
    info = package / "info"
    sources = {}
    if (info / "paths.json").exists():
        entries = json.loads((info / "paths.json").read_text())["paths"]
        paths = [e["_path"] for e in entries]
        sources = {e["_path"]: e["aq_source"] for e in entries if "aq_source" in e}
    else:
        paths = (info / "files").read_text().splitlines()
    prefix.mkdir(parents=True, exist_ok=True)
    for name in paths:
        (prefix / name.partition("/")[0]).parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("s/"):
            (prefix / "s").mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # it has removed it by then
            source = package / sources.get(name, name.lstrip("/"))
            place(source, Path(os.path.join(prefix, name)))  # noqa: PTH118
    link = info / "link.json"
    if link.exists():
        for entry in json.loads(link.read_text())["noarch"]["entry_points"]:
            (prefix / "bin").mkdir(exist_ok=True)
            (prefix / "bin" / entry.split(" = ")[0]).write_bytes(EVIL)


def install_conda(archive: Path, package: Path, prefix: Path) -> None:
    """Unpack and link it."""
    unpack(archive, package)
    link_conda(package, prefix)


def install_wheel(archive: Path, prefix: Path) -> None:
    """Unpack it and make its programs."""
    site = prefix / SITE
    (prefix / "bin").mkdir(parents=True, exist_ok=True)
    site.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as wheel_file:
        for entry in wheel_file.infolist():
            head, _, rest = entry.filename.partition(".data/")
            scheme, _, below = rest.partition("/")
            if below:
                target = (prefix / "bin" if scheme == "scripts" else prefix) / below
            else:
                target = Path(os.path.join(site, head))  # noqa: PTH118
            target.parent.mkdir(parents=True, exist_ok=True)
            mode = entry.external_attr >> 16
            if stat.S_ISLNK(mode):
                target.symlink_to(wheel_file.read(entry).decode())
                continue
            with contextlib.suppress(FileNotFoundError):
                target.unlink()
            target.write_bytes(wheel_file.read(entry))
            target.chmod(mode & 0o7777)
            if target.name == "entry_points.txt":
                for line in target.read_text().splitlines()[1:]:
                    (prefix / "bin" / line.split(" = ")[0]).write_bytes(EVIL)


def control(top: Path, channel: Path, wheels: Path, canary: Path) -> None:
    """Say what each archive does to such a client."""
    names = [name for name, _ in conda_packages(canary)] + [n for n, _, _ in wheels_of(canary)]
    for name in names:
        shutil.rmtree(top, ignore_errors=True)
        victim = top / "pkgs" / VICTIM
        victim.parent.mkdir(parents=True)
        victim.write_bytes(GOOD)
        (top / "home").mkdir()
        (top / "home" / "aq-secret").write_bytes(SECRET)
        archive = channel / "noarch" / f"{name}-1.0-0.tar.bz2"
        prefix = top / "envs" / "x"
        if archive.exists():
            install_conda(archive, top / "pkgs" / f"{name}-1.0-0", prefix)
        else:
            if name == "link-and-wheel":
                first = channel / "noarch" / "a-link-1.0-0.tar.bz2"
                install_conda(first, top / "pkgs" / "a-link-1.0-0", prefix)
            stem = name.replace("-", "_")
            install_wheel(wheels / f"{stem}-1.0-py3-none-any.whl", prefix)
        print(name, "; ".join(harm(top / "pkgs", top / "envs", canary)))
        for file in canary.iterdir():
            file.unlink()
    shutil.rmtree(top)


def client(which: str, stand_in: str, aq_rattler: str, *words: str) -> None:
    """Be micromamba or conda, as aq-builder uses them."""
    if "--dry-run" in words:
        sys.argv = [stand_in, which, aq_rattler, *words]
        runpy.run_path(stand_in, run_name="__main__")
    pkgs = Path(os.environ["CONDA_PKGS_DIRS"])
    prefix = Path(words[words.index("--prefix") + 1])
    os.umask(0o022)
    for line in Path(words[words.index("--file") + 1]).read_text().splitlines()[1:]:
        url, _, digest = line.partition("#sha256:")
        archive = Path(url.removeprefix("file://"))
        stem = archive.name.removesuffix(".tar.bz2")
        package = pkgs / stem
        if not (package / "info").exists():
            unpack(archive, package)
        if "--download-only" in words:
            continue
        link_conda(package, prefix)
        name, version, build = stem.rsplit("-", 2)
        record = {"name": name, "version": version, "build": build, "url": url, "sha256": digest}
        (prefix / "conda-meta").mkdir(exist_ok=True)
        (prefix / "conda-meta" / f"{stem}.json").write_text(json.dumps(record))
    print('{"success": true}')


def main() -> None:
    """Do what the verb says."""
    verb, *words = sys.argv[1:]
    if verb == "client":
        client(*words)
        return
    paths = [Path(word) for word in words]
    if verb == "make":
        make(*paths)
    elif verb == "control":
        control(*paths)
    else:
        print(*harm(*paths), sep="\n", end="")


if __name__ == "__main__":
    main()
