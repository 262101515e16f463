#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What in environment files counts: docs/environment-files.md, and what aq says.

file_classes.py count TOP DIR    how many files below DIR are of each class
file_classes.py compare TOP DIR  TAP: the document has these numbers
file_classes.py samples TOP      TAP: of each class that the document has, a small file
                                 is what it says there; and it has no other

`aq` is the first one in PATH.  A refusal's class is the reason's name in
tests/env_files.c.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Class:
    """What a file can have, how it is seen, and a file that has it."""

    name: str
    sample: str
    # Of a file that is accepted: its text, and what aq check --json prints.
    is_seen: Callable[[str, Json], bool]


def has(pattern: str) -> Callable[[str, Json], bool]:
    """See it by the file's text."""
    return lambda text, _: re.search(pattern, text, re.M) is not None


def some(member: str, pattern: str = "") -> Callable[[str, Json], bool]:
    """See it by an item of a list that was understood."""
    return lambda _, answer: any(re.search(pattern, item) for item in answer[member])


def conda(spec: str) -> str:
    """Make a file that asks for the spec."""
    return f"channels: [conda-forge]\ndependencies:\n  - {spec}\n"


def pip(item: str) -> str:
    """Make a file that asks for the requirement."""
    return conda(f"python=3.12\n  - pip:\n    - {item}")


HONOURED = (
    Class("conda", conda("numpy >=1.26,<3"), some("conda")),
    Class("pip", pip("six==1.17.0"), some("pip")),
    Class("python", conda("python=3.12"), lambda _, a: bool(a["python"])),
    Class(
        "channels",
        "channels: [bioconda, conda-forge]\ndependencies: [six]\n",
        lambda _, a: len(a["channels"]) > 1,
    ),
    Class("build", conda("numpy=1.26.4=py312h8753938_0"), some("conda", r"^\S+ ==\S+ \S+")),
    Class("channel-package", conda("conda-forge::six"), some("conda", "::")),
    Class("exported", "six=1.17.0=pyhd8ed1ab_0\n", has(r"^[\w.-]+=[^\s=]+=\S+$")),
    Class("extras", pip("requests[socks]"), some("pip", r"^[^;]*\[")),
    Class("marker", pip("six ; python_version < '3.13'"), some("pip", ";")),
    Class("variables", conda("six") + "variables: {A: b}\n", lambda _, a: bool(a["variables"])),
    Class("included", pip("-r more.txt"), has(r"^\s*- *['\"]?(-r|-c|--requirement)\b")),
)
NO_EFFECT = (
    Class("name", "name: x\n" + conda("six"), has(r"^name:")),
    Class("prefix", conda("six") + "prefix: /home/x\n", has(r"^prefix:")),
    Class(
        "nodefaults",
        "channels: [conda-forge, nodefaults]\ndependencies: [six]\n",
        has(r"^[^#]*\bnodefaults\b"),
    ),
    Class(
        "defaults",
        "channels: [conda-forge, defaults]\ndependencies: [six]\n",
        has(r"^[^#]*\bdefaults\b"),
    ),
    Class(
        "other-tool", conda("six") + "platforms: [linux-64]\n", some("warnings", "another tool's")
    ),
)
# Each is refused, by the reason that it is named by.
REFUSED = {
    "channel": "channels: [our-own]\ndependencies: [six]\n",
    "repository": pip("git+https://github.com/psf/requests"),
    "editable": pip("-e ."),
    "conda-in-pip": pip("numpy=2.0"),
    "path": pip("./wheels/own-1.0-py3-none-any.whl"),
    "option": pip("--index-url https://example.org"),
    "include": pip("-r absent.txt"),
    "template": conda("six {{ version }}"),
    "alias": "channels: &c [conda-forge]\nname: *c\ndependencies: [six]\n",
    "quotes": conda("python>='3.10'"),
    "not-yaml": "dependencies:\n\t- six\n",
    "no-map": "- six\n",
    "lock": "version: 1\nmetadata: {}\npackage: []\n",
    "devenv": conda("six") + "environment: {A: b}\n",
    "unknown-key": conda("six") + "dependancies: [x]\n",
    "empty-item": conda("six\n  -"),
    "empty-file": "",
    "asks-nothing": "name: x\ndependencies: []\n",
    "pip-list": conda("python=3.12\n  - pip: six"),
    "variables-map": conda("six") + "variables: [A]\n",
    "too-big": conda("six\n#" + "x" * 70000),
}


def reasons(top: Path) -> list[tuple[str, str]]:
    """The name of each refusal, and what its message says."""
    text = (top / "tests/env_files.c").read_text()
    table = text[text.index("reasons[] = {") : text.index("static int fd")]
    return re.findall(r'\{ "([a-z-]+)", "(.*)" \}', table)


def channels(top: Path) -> list[str]:
    """The channels that such files name most."""
    text = (top / "tests/env_files.c").read_text()
    return re.findall(
        r'"([a-z-]+)"', text[text.index("channels[] = {") : text.index("/* What a mess")]
    )


class Files:
    """What aq says of files, with an aq.conf of its own."""

    def __init__(self, top: Path, directory: Path, names: list[str]) -> None:
        """With a map of these channels."""
        self.reasons = reasons(top)
        self.conf = directory / "aq.conf"
        urls = " ".join(f"{name}=https://mirror.example/{name}" for name in names)
        self.conf.write_text(
            f"cache_dir = {directory}/lib\nrun_dir = {directory}/run\nchannels = {urls}\n"
        )

    def classes(self, path: Path) -> set[str]:
        """All classes that the file is of, and "accepted" or "refused"."""
        words = ["aq", "--config", str(self.conf), "check", "--json", str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            lines = done.stderr.splitlines()
            first = [next((n for n, says in self.reasons if says in line), "") for line in lines]
            return {"refused", *first} - {""}
        answer, text = json.loads(done.stdout), path.read_text(errors="replace")
        seen = {c.name for c in (*HONOURED, *NO_EFFECT) if c.is_seen(text, answer)}
        return {"accepted", *seen}


def count(top: Path, directory: Path) -> Counter[str]:
    """How many files are of each class."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        files = Files(top, Path(scratch), channels(top))
        for path in sorted(directory.glob("*.y*ml")):
            counts.update(files.classes(path))
    return counts


def documented(top: Path) -> dict[str, int]:
    """Each class that the document has, and its number."""
    text = (top / "docs/environment-files.md").read_text()
    return {name: int(n) for name, n in re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", text, re.M)}


def samples(top: Path) -> Iterator[str]:
    """What of the small files is not what the document says."""
    known = [c.name for c in (*HONOURED, *NO_EFFECT)] + list(REFUSED)
    if wrong := set(documented(top)).symmetric_difference(known):
        yield f"in the document or known here, and not both: {sorted(wrong)}"
    if wrong := {name for name, _ in reasons(top)}.symmetric_difference(REFUSED):
        yield f"reasons without a file, or the other way round: {sorted(wrong)}"
    wanted = {c.name: (c.sample, "accepted") for c in (*HONOURED, *NO_EFFECT)}
    wanted |= {name: (sample, "refused") for name, sample in REFUSED.items()}
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        files = Files(top, directory, ["conda-forge", "bioconda"])
        (directory / "more.txt").write_text("six\n")
        for name, (sample, outcome) in wanted.items():
            path = directory / f"{name}.yml"
            path.write_text(sample)
            got = files.classes(path)
            if not {name, outcome} <= got:
                yield f"'{name}' is to be {outcome}, but is {sorted(got)}"


def is_known(top: Path, directory: Path) -> bool:
    """Whether these are the files that the document counts."""
    table = (top / "tests/data/env-files.tsv").read_text()
    names = {path.name for path in directory.glob("*.y*ml")}
    return names == {line.split("\t")[0] for line in table.splitlines()}


def compare(top: Path, directory: Path) -> Iterator[str]:
    """Where the document has another number."""
    counts = count(top, directory)
    for name, number in documented(top).items():
        if counts[name] != number:
            yield f"'{name}': {counts[name]} files, the document has {number}"
    said = f"{counts['accepted']} of {counts['accepted'] + counts['refused']}"
    if said not in (top / "docs/environment-files.md").read_text():
        yield f"the document does not say that {said} files are taken as they are"


def main() -> int:
    """Do what the first argument says."""
    verb, *rest = sys.argv[1:]
    paths = [Path(p).resolve() for p in rest]
    if verb == "count":
        for name, number in count(*paths).most_common():
            print(name, number, sep="\t")
        return 0
    if verb == "compare" and not is_known(*paths):
        print("1..1\nok 1 the document counts other files than these")
        return 0
    wrong = list(samples(*paths) if verb == "samples" else compare(*paths))
    print("1..1")
    print(f"{'not ' if wrong else ''}ok 1 what in environment files counts: {verb}")
    for line in wrong:
        print(f"# {line}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
