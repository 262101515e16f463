# SPDX-License-Identifier: Apache-2.0
"""Compare how this project reads specs with those who define them.

Match specs are compared with rattler, requirements with packaging: what they
accept we accept, and both readings match the same packages.  Where we say
ourselves whether a package matches, rattler says the same.  Output is TAP.

    compare.py --program tests/normal-form --count N [--seed N]
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import subprocess
from collections.abc import Callable, Iterator

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from rattler import MatchSpec, PackageRecord
from rattler.exceptions import InvalidMatchSpecError, InvalidVersionError
from rattler.package.build_string import BuildString


def words(text: str) -> list[str]:
    """The words of a text: a list that is easy to read."""
    return text.split()


BLANKS = ["", "", " ", "  "]
SHOWN = 10  # failures that are printed of each kind
UNSURE_PART = 10  # one answer of so many may be that we cannot say

# -- conda ------------------------------------------------------------------

CONDA_VERSIONS = words("""0.9 1 1.2 1.2.0 1.2.1 1.2.3 1.20 1.3 1.10 1.2a 1.2rc1 1.2.3dev1
1.2.3.post1 1.2_1 1.2+x 2 2.0 2.1 3 10 1!1.2 2!0.1""")
CONDA_BUILDS = ["0", "py39_0", "py310_0", "cuda118_1", "h1234_2", "mkl_0"]
CONDA_LITERALS = words("""1 1.2 1.2.0 1.2.3 2 2.0 1.2rc1 1!1.2 1.20 1.2a 10 3 1.2_1
1.2.* 1.2* 1.* *""")
CONDA_OPERATORS = ["", "=", "==", "!=", ">=", "<=", ">", "<", "~="]

# conda's clients read these differently, and we refuse them
REFUSED_SPEC = re.compile(r"(>(?!=)|<=|~=) *[0-9a-z.!_]*\*|(?<![>=])[=<!~]+ *\*")
# "==1.2.*" is a prefix here wherever it stands; rattler has it so alone only
STARRED = re.compile(r"==( *[0-9a-z.!_]+\*)")


def conda_versions(rng: random.Random, depth: int = 0, literals: list[str] = CONDA_LITERALS) -> str:
    """Conditions on a version, some of them nonsense."""

    def blank() -> str:
        return rng.choice(BLANKS)

    chance = rng.random()
    if chance < 0.5 or depth > 2:
        return rng.choice(CONDA_OPERATORS) + blank() + rng.choice(literals)
    if chance < 0.9:
        left, right = (conda_versions(rng, depth + 1, literals) for _ in range(2))
        return left + blank() + rng.choice(",,|") + blank() + right
    return f"({conda_versions(rng, depth + 1, literals)})"


def match_spec(rng: random.Random) -> str:
    """A match spec at random."""
    spec = rng.choice(["numpy", "NumPy"])
    build = rng.choice([*CONDA_BUILDS, "py*", "*_0", "*mkl*", "*"])
    chance = rng.random()
    if chance < 0.5:
        versions = conda_versions(rng)
        spec += (" " if versions[0].isdigit() else rng.choice(BLANKS)) + versions
    elif chance < 0.6:
        spec += " " + conda_versions(rng)
    elif chance < 0.75:
        spec += rng.choice("= ") + rng.choice(CONDA_LITERALS) + rng.choice("= ") + build
    elif chance < 0.85:
        operator, version = rng.choice(CONDA_OPERATORS), rng.choice(CONDA_LITERALS)
        spec += f" {operator}{version}{rng.choice('= ')}{build}"
    elif chance < 0.95:
        spec += rng.choice(
            [
                f"[version='{conda_versions(rng)}']",
                f'[version="{conda_versions(rng)}", build={build}]',
                "[build_number='>=1']",
                "[build_number=1]",
                f"[build={build}]",
            ]
        )
    if rng.random() < 0.15:
        spec = rng.choice(["chan::", "chan/linux-64::", "https://h.example/c::"]) + spec
    return spec


def conda_records() -> list[PackageRecord]:
    """Every version with every build."""
    return [
        PackageRecord(
            name="numpy",
            version=version,
            build=BuildString(build),
            build_number=int(build[-1]),
            subdir="linux-64",
        )
        for version, build in itertools.product(CONDA_VERSIONS, CONDA_BUILDS)
    ]


RECORDS = conda_records()


def rattler_reads(text: str) -> list[bool] | None:
    """Which of RECORDS match; None if rattler refuses it."""
    try:
        spec = MatchSpec(text, strict=False)
    except InvalidMatchSpecError:
        return None
    return [spec.matches(record) for record in RECORDS]


def compare_spec(text: str, ours: str | None) -> str | None:
    """What is wrong with our reading of a match spec, or None."""
    theirs = rattler_reads(STARRED.sub(r"=\1", text))
    if ours is None:
        refused = theirs is None or REFUSED_SPEC.search(text)
        return None if refused else "refused, though rattler accepts it"
    reading = rattler_reads(ours)
    if reading is None:
        return "rattler does not accept our normal form"
    if theirs is None:  # it has no parentheses alone, no blanks in brackets
        return None if set("([") & set(text) else "accepted, though rattler refuses it"
    return None if reading == theirs else "matches other packages"


# -- whether a package matches ----------------------------------------------

# Build strings and their build numbers, some of which are not what they look like
NUMBERED_BUILDS = {
    "py39_0": 7,
    "py39h0123abc_0": 0,
    "cuda118py310h4567def_12": 12,
    "h89abcde_2": 2,
    "h1234_2": 0,
    "3": 4,
    "2_h0123abc_mkl": 0,
    "mkl": 3,
}
NUMPY_BUILDS = [*NUMBERED_BUILDS, "py*", "*_0", "*h*_*", "*mkl*", "PY39_0", "*MKL"]


def conda_version(rng: random.Random) -> str:
    """A version at random, from so few pieces that two of them are often alike."""
    suffixes = [*[""] * 20, "a", "rc1", "rc", "dev", "dev0", "post", "post2", "RC"]
    segments = [
        rng.choice(words("0 0 1 1 2 3 10 01")) + rng.choice(suffixes)
        for _ in range(rng.choice([1, *[2, 3] * 5, 4]))
    ]
    if rng.random() < 0.07:
        segments.append(rng.choice([*words("dev1 dev a b2 post1 post") * 3, "devel"]))
    separator = rng.choice([*"." * 38, "_", "-"])
    epoch = rng.choice([*[""] * 20, "0!", "1!"])
    local = rng.choice([*[""] * 150, "+x", "+1.x", "_"])
    return epoch + segments[0] + "".join(separator + s for s in segments[1:]) + local


def question(rng: random.Random) -> str:
    """A match spec, and the version and build of a package; tabs between them."""
    version, build = conda_version(rng), rng.choice(list(NUMBERED_BUILDS))
    pieces = version.split(".")
    start = ".".join(pieces[: rng.randrange(len(pieces)) + 1])
    literals = [version, start, start + ".*", start + ".0.*", version + ".1"]
    literals += [conda_version(rng) + end for end in ["", "", "", ".*", ".*"]]
    spec = rng.choice([*["numpy"] * 20, "scipy"])
    spec += " " + conda_versions(rng, literals=literals)
    chance = rng.random()
    if chance < 0.3:
        spec += " " + rng.choice(NUMPY_BUILDS)
    elif chance < 0.33:
        operator = rng.choice(["", ">=", "<=", ">", "<", "!="])
        spec += f"[build_number='{operator}{rng.choice([0, 1, 2, 12])}']"
    return f"{spec}\t{version}\t{build}"


def compare_answer(text: str, ours: str | None) -> str | None:
    """What is wrong with our answer to a question, or None."""
    if ours is None:
        return None  # compare_spec() looks at these
    _, version, build = text.split("\t")
    form, answer = ours.split("\t")
    if answer == "unsure":
        return None
    try:
        theirs = MatchSpec(form, strict=False).matches(
            PackageRecord(
                name="numpy",
                version=version,
                build=BuildString(build),
                build_number=NUMBERED_BUILDS[build],
                subdir="linux-64",
            )
        )
    except (InvalidMatchSpecError, InvalidVersionError):
        theirs = False  # what it cannot read matches nothing
    return None if theirs == (answer == "yes") else "rattler says the opposite"


# -- pip --------------------------------------------------------------------

PIP_VERSIONS = words("""0 0.9 1 1.2 1.2.0 1.2.1 1.2.3 1.20 1.3 1.2rc1 1.2.post1 1.2a1 1.2.dev1
1.2+x 1.2.3+cu.18 2 2.0.1 3 10 1!1.2""")
PIP_LITERALS = words("""1 1.2 1.2.0 1.2.0.0 1.2.3 v1.2 01.2 2.0 1.2rc1 1.2-RC.1 1.2c1 1.2_alpha
1!1.2 0!1.2 1.20 1.2.a 10 1.2.* 1.0.* 1.* * 3 1.2-1 1.2.post 1.2.rev3 1.2+X 1.2+cu_18
1.2.3+CU-18 1.2.dev 1.2dev1 1.2. a1 1..2 1.2.0rc1 0 0.0 1.2+ 1.2+a..b
1.2.post1.dev2""")
PIP_OPERATORS = ["==", "==", "!=", ">=", "<=", ">", "<", "~=", "===", "="]
MARKER_VALUES = {
    "python_version": ["3.8", "3.10"],
    "sys_platform": ["linux", "win32"],
    "os_name": ["posix", "nt"],
    "platform_machine": ["x86_64", "aarch64"],
}
OLD_NAMES = {"os_name": "os.name", "sys_platform": "sys.platform"}
ENVIRONMENTS = [
    dict(zip(MARKER_VALUES, values, strict=True))
    for values in itertools.product(*MARKER_VALUES.values())
]


def marker(rng: random.Random, depth: int = 0) -> str:
    """An environment marker at random."""
    chance = rng.random()
    if chance < 0.4 or depth > 3:
        name = rng.choice(list(MARKER_VALUES))
        quote = rng.choice("'\"")
        value = quote + rng.choice(MARKER_VALUES[name]) + quote
        operator = rng.choice(["==", "!=", ">=", "<", " in ", " not in ", " not   in "])
        if rng.random() < 0.2:
            name = OLD_NAMES.get(name, name)
        left, right = (name, value) if rng.random() < 0.7 else (value, name)
        return left + rng.choice(BLANKS) + operator + rng.choice(BLANKS) + right
    if chance < 0.85:
        left, right = marker(rng, depth + 1), marker(rng, depth + 1)
        return left + rng.choice([" and ", " or "]) + right
    return f"( {marker(rng, depth + 1)})"


def requirement(rng: random.Random) -> str:
    """A requirement at random, some of them nonsense."""

    def blank() -> str:
        return rng.choice(BLANKS)

    text = rng.choice(["numpy", "NumPy", "py_x.y--Z", "a", "a-", "_a", "ru.am"])
    if rng.random() < 0.25:
        text += rng.choice(["[a]", "[B,a]", "[ x , Y_z,x ]", "[]", "[a,]", "[a b]"])
    conditions = [
        rng.choice(PIP_OPERATORS) + blank() + rng.choice(PIP_LITERALS)
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))
    ]
    versions = (blank() + "," + blank()).join(conditions)
    if conditions and rng.random() < 0.1:
        versions = f"({blank()}{versions}{blank()})"
    text += blank() + versions
    if rng.random() < 0.05:
        text += ","
    if rng.random() < 0.4:
        text += f"{rng.choice(['', ' '])};{blank()}{marker(rng)}"
    return text


def evaluate(expression: Marker | None, environment: dict[str, str]) -> bool | None:
    """What a marker says of an environment; None if that cannot be said."""
    try:
        return expression is None or expression.evaluate(environment)
    except Exception:  # packaging has no order of strings that are no versions
        return None


Reading = tuple[str, list[str], list[bool], list[bool | None]]


def packaging_reads(text: str) -> Reading | None:
    """What packaging makes of it; None if it refuses it."""
    try:
        read = Requirement(text)
    except InvalidRequirement:
        return None
    return (
        re.sub(r"[-_.]+", "-", read.name).lower(),
        sorted({re.sub(r"[-_.]+", "-", extra).lower() for extra in read.extras}),
        [read.specifier.contains(version, prereleases=True) for version in PIP_VERSIONS],
        [evaluate(read.marker, environment) for environment in ENVIRONMENTS],
    )


def compare_requirement(text: str, ours: str | None) -> str | None:
    """What is wrong with our reading of a requirement, or None."""
    theirs = packaging_reads(text)
    if ours is None:
        # '===' takes the commas behind it: it may only stand alone
        refused = theirs is None or ("===" in text and "," in text)
        return None if refused else "refused, though packaging accepts it"
    reading = packaging_reads(ours)
    if reading is None:
        return "packaging does not accept our normal form"
    if theirs is None:
        return "accepted, though packaging refuses it"
    return None if reading == theirs else "matches other packages"


# -- the run ----------------------------------------------------------------


def normal_forms(program: str, letter: str, texts: list[str]) -> list[str | None]:
    """Our normal forms of 'texts', None for what we refuse."""
    lines = "".join(f"{letter}{text}\n" for text in texts)
    run = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    forms = run.stdout.splitlines()
    if len(forms) != len(texts):
        raise SystemExit(f"'{program}' answered {len(forms)} of {len(texts)} lines")
    return [None if form.startswith("! ") else form for form in forms]


def faults(
    texts: list[str],
    forms: list[str | None],
    compare: Callable[[str, str | None], str | None],
) -> Iterator[str]:
    """What is wrong with our reading of each."""
    for text, form in zip(texts, forms, strict=True):
        if why := compare(text, form):
            yield f"'{text}' ('{form}'): {why}"


def main() -> None:
    """Compare, and print TAP."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kinds = [
        ("match specs read as by rattler", "c", match_spec, compare_spec),
        ("packages match as by rattler", "m", question, compare_answer),
        ("requirements read as by packaging", "p", requirement, compare_requirement),
    ]
    print(f"1..{len(kinds)}")
    for number, (title, letter, make, compare) in enumerate(kinds, 1):
        rng = random.Random(options.seed)  # noqa: S311 (the same texts every time)
        texts = sorted({make(rng) for _ in range(options.count)})
        forms = normal_forms(options.program, letter, texts)
        accepted = sum(form is not None for form in forms)
        unsure = sum(form is not None and form.endswith("\tunsure") for form in forms)
        found = list(faults(texts, forms, compare))
        few = accepted < len(texts) // 5 or unsure > accepted // UNSURE_PART
        verdict = "not ok" if found or few else "ok"
        doubt = f", {unsure} unsure" if letter == "m" else ""
        print(f"{verdict} {number} - {title}: {len(texts)}, {accepted} accepted{doubt}")
        for fault in found[:SHOWN]:
            print(f"# {fault}")


if __name__ == "__main__":
    main()
