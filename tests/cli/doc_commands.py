#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documentation shows: commands, files and blocks, for tests to try.

doc_commands.py blocks DIR FILE...  write each block that is no command to DIR, and
                                    print "KIND<tab>WHERE<tab>PATH"
doc_commands.py run FILE...         lines for bash that start with aq: "WHERE<tab>LINE"
doc_commands.py slurm FILE...       Slurm's commands, as they stand: "WHERE<tab>LINE"
doc_commands.py check TOP FILE...   say of each command what in it is not there
doc_commands.py names TOP FILE...   say of each path of the checkout that it is not there

FILE is Markdown or a manual page; TOP is the checkout.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What a fenced block of Markdown may be.
KINDS = {"console", "yaml", "python", "conf", "plugstack", "text", "c", "gdb", "json", "lock"}
# Programs that are not ours: it is enough that somebody has looked at the line.
OTHERS = {
    *("cd", "mkdir", "printenv", "python", "true", "jq", "grep", "useradd", "install"),
    *("bats", "gdb", "bash", "snakemake", "printf", "sha256sum"),
}
SLURM = {"srun", "sbatch", "salloc", "scontrol", "squeue", "scancel"}
SUBMIT = {"srun", "sbatch", "salloc"}
# Options that salloc(1) has and its help has not.
UNHELPED = {"--no-shell"}
# Files that a line names before it, or another one, makes them.
MADE = {"lock.txt", "typo.yaml", "base.yaml"}


@dataclass(frozen=True)
class Block:
    """Lines that are shown as they are, and where."""

    where: str
    kind: str
    text: str


def man_kind(text: str) -> str:
    """Tell what a literal block of a manual page is; pages have no word for it."""
    for kind, pattern in (
        ("console", r"(\$ |aq )"),
        ("lock", r"[^\n]*\n@EXPLICIT"),
        ("netrc", r"(#[^\n]*\n)?machine "),
        ("plugstack", r"optional "),
        ("conf", r"[a-z_]+ = "),
        ("python", r"# /// script\n"),
        ("yaml", r"(?s).*\bdependencies:"),
    ):
        if re.match(pattern, text):
            return kind
    return "?"


def man_blocks(path: Path) -> Iterator[Block]:
    """Find .Dl and .Bd -literal of a manual page."""
    lines = path.read_text().splitlines()
    inside: list[str] | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.replace(r"\&", "").replace(r"\-", "-").replace(r"\(dq", '"')
        if line.startswith(".Bd -literal"):
            inside, begun = [], number
        elif line == ".Ed" and inside is not None:
            text = "\n".join(inside) + "\n"
            yield Block(f"{path.name}:{begun}", man_kind(text), text)
            inside = None
        elif inside is not None:
            inside.append(line)
        elif line.startswith(".Dl "):
            text = line[4:] + "\n"
            yield Block(f"{path.name}:{number}", "console", text)


def markdown_blocks(path: Path) -> Iterator[Block]:
    """Find fenced blocks, also indented ones."""
    begun, kind, indent = 0, "", ""
    inside: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = re.match(r"( *)```(.*)", line)
        if fence and not begun:
            begun, indent, kind = number, fence[1], fence[2].strip()
            inside = []
        elif fence:
            text = "\n".join(inside) + "\n"
            yield Block(f"{path.name}:{begun}", kind if kind in KINDS else "?", text)
            begun = 0
        elif begun:
            inside.append(line.removeprefix(indent))


def blocks(paths: list[Path]) -> Iterator[Block]:
    """All blocks of all files."""
    for path in paths:
        yield from markdown_blocks(path) if path.suffix == ".md" else man_blocks(path)


def commands(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """Each command line that is shown, joined and without prompt and comment."""
    for block in blocks(paths):
        if block.kind != "console":
            continue
        has_prompt = re.search(r"^[$#] ", block.text, re.M) is not None
        joined = re.sub(r"\\\n *", "", block.text)
        for line in joined.splitlines():
            if has_prompt and not re.match(r"[$#] ", line):
                continue  # what the command prints
            text = re.sub(r"^[$#] ", "", line)
            yield block.where, re.sub(r"\s+# .*", "", text).strip()


def split(line: str) -> Iterator[list[str]]:
    """The simple commands of a line, without assignments and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if re.fullmatch(r"[|&;]+", word):
            if words:
                yield words
            words = []
        elif words and re.fullmatch(r"[<>]+", words[-1]):
            words.pop()  # and the file that it names
        elif words or not re.fullmatch(r"[A-Z_]+=.*", word):
            words.append(word)


def runnable(line: str) -> str | None:
    """The line as a test can run it with a stand-in for what builds, or None."""
    programs = [words[0] for words in split(line)]
    if programs[0] != "aq" or not set(programs) <= {"aq", "jq", "grep"}:
        return None
    line = re.sub(r"^aq run (.*) -- .*", r"aq run \1 -- true", line)
    line = re.sub(r"--output \S+", "--output out.prom", line)
    return re.sub(r"\b(NAME|KEY)\b", '"$NAME"', line).replace("FILE", "req.yaml")


def output_of(*words: str | Path) -> str:
    """What a program says of itself."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


class Checker:
    """Says of commands what in them is not there."""

    def __init__(self, top: Path) -> None:
        """Of the checkout 'top'."""
        self.top = top.resolve()
        page = (top / "docs/man/spank_aq.8").read_text()
        self.ours = set(re.findall(r"^\.It Fl (-aq-[a-z-]+)", page, re.M))
        self.help: dict[str, str] = {}

    def help_of(self, program: str | Path) -> str:
        """Its help, asked for once."""
        name = str(program)
        if name not in self.help:
            self.help[name] = output_of(program, "--help")
        return self.help[name]

    def file(self, name: str) -> Iterator[str]:
        """A file that somebody with the examples has."""
        if not (self.top / "examples" / name).exists() and name not in MADE:
            yield f"examples/ has no '{name}'"

    def slurm(self, words: list[str]) -> Iterator[str]:
        """The options of srun, sbatch or salloc, and what they start."""
        text = self.help_of(words[0])
        rest = list(words[1:])
        while rest and rest[0].startswith("-"):
            word = rest.pop(0)
            name, _, value = word.partition("=")
            if name.removeprefix("-") in self.ours:
                if name == "--aq-requirements" and value not in {"none", "FILE"}:
                    yield from self.file(value)
            elif name.startswith("--"):
                if name not in UNHELPED and not re.search(rf"{name}\b", text):
                    yield f"{words[0]} has no {name}"
            elif not re.search(rf"^\s+{word[:2]}[, ]", text, re.M):
                yield f"{words[0]} has no {word[:2]}"
            elif len(word) == 2 and re.search(rf"^\s+{word}, --[a-z-]+=", text, re.M):
                rest.pop(0)
        if rest and words[0] == "sbatch":
            yield from self.file(rest[0])
        elif rest:
            yield from self.command(rest)

    def options(self, words: list[str], text: str) -> Iterator[str]:
        """Long options that a help, or a script's text, must have."""
        for word in words[1:]:
            name = word.partition("=")[0]
            if name.startswith("--") and not re.search(rf"{name}\b", text):
                yield f"{words[0]} has no {name}"

    def make(self, words: list[str]) -> Iterator[str]:
        """Targets and variables of our makefiles."""
        text = "".join(p.read_text() for p in self.top.glob("**/Makefile.*"))
        for word in words[1:]:
            name = word.partition("=")[0]
            known = {"check", "install", "TESTS", "dist", "distcheck"}
            if not word.startswith("-") and name not in known and name not in text:
                yield f"make knows no '{name}'"

    def gdb(self, text: str) -> Iterator[str]:
        """Functions that a debugger stops at."""
        code = "".join(
            p.read_text() for d in ("plugin", "tests/fake") for p in (self.top / d).glob("*.c")
        )
        for name in re.findall(r"break (\w+)$", text, re.M):
            if not re.search(rf"^\w.*\b{name}\(", code, re.M):
                yield f"there is no function '{name}'"

    def text_of(self, script: Path) -> str:
        """A script of ours, with those that it has a part of itself in."""
        text = script.read_text()
        parts = re.findall(r'^\. "\$here/([a-z.]+)"', text, re.M)
        return text + "".join((script.parent / part).read_text() for part in parts)

    def command(self, words: list[str]) -> Iterator[str]:
        """One simple command."""
        program = words[0]
        script = self.top / program.removeprefix("../")
        if program in SUBMIT:
            yield from self.slurm(words)
        elif program == "make":
            yield from self.make(words)
        elif program == "apt-get":
            known = (self.top / "tests/lib/packages.sh").read_text()
            for name in words[2:]:
                if not re.search(rf"[\" ]{re.escape(name)}[\" ]", known):
                    yield f"tests/lib/packages.sh has no '{name}'"
        elif program.endswith("configure"):
            yield from self.options(words, self.help_of(script))
        elif "/" in program and not program.startswith("/"):
            if script.is_file():
                yield from self.options(words, self.text_of(script))
            else:
                yield f"there is no '{program}'"
        elif program in {"python", "bash"}:
            for name in words[1:]:
                if re.search(r"\.(py|sh|lua)$", name):
                    yield from self.file(name)
        elif program not in OTHERS | SLURM | {"aq"}:
            yield f"'{program}' is no program that tests know: see tests/cli/doc_commands.py"


# A path of the checkout in prose: its folder, and a name with a dot or a slash.
NAMED = re.compile(
    r"(?<![\w/.-])((?:docs|tests|packaging|examples|common|plugin|builder|cli)/[\w./*{},-]*[\w*/])"
)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def missing_names(top: Path, path: Path) -> Iterator[str]:
    """Paths of the checkout that the file names and that are not there."""
    text = path.read_text()
    for name in sorted(set(NAMED.findall(text))):
        source = re.sub(r"^(tests/(?:unit|fake)/\w+)\.t$", r"\1.?", name.rstrip("/"))
        if "NAME" not in name and not any(top.glob(source)):
            yield f"'{name}'"
    for name in sorted(set(LINK.findall(text))):
        if "://" not in name and not (path.parent / name).exists():
            yield f"'{name}', which is linked to"


def main() -> int:
    """Do what the first argument says."""
    verb, *rest = sys.argv[1:]
    if verb in {"run", "slurm"}:
        for where, line in commands([Path(p) for p in rest]):
            if verb == "slurm":
                if any(words[0] in SUBMIT for words in split(line)):
                    print(where, line, sep="\t")
            elif text := runnable(line):
                print(where, text, sep="\t")
        return 0
    top, *files = (Path(p) for p in rest)
    wrong = []
    if verb == "blocks":
        for number, block in enumerate(blocks(files)):
            if block.kind == "?":
                wrong.append(f"{block.where}: a block of no kind that tests know")
            elif block.kind != "console":
                path = top / f"{number}.{block.kind}"
                path.write_text(block.text)
                print(block.kind, block.where, path, sep="\t")
    elif verb == "check":
        checker = Checker(top)
        for block in blocks(files):
            if block.kind == "gdb":
                wrong += [f"{block.where}: {what}" for what in checker.gdb(block.text)]
        for where, line in commands(files):
            for words in split(line):
                wrong += [f"{where}: {what}: {line}" for what in checker.command(words)]
    elif verb == "names":
        wrong = [
            f"{path.name}: {what} is not there"
            for path in files
            for what in missing_names(top, path)
        ]
    else:
        raise SystemExit(__doc__)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
