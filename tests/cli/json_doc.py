#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""json_doc.py DOC: what aq prints, against the tables of docs/json.md.

Standard input has lines "VERB<tab>JSON".  Every member must be in the table of
its verb, with its type, and every member of a table must have been seen in
one of the verb's outputs, unless the list that it is of was always empty.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROW = re.compile(r"\| `([^`]+)` \| ([a-z, ]+) \|")
# Objects whose members' names are data.
FREE = {"variables", "counts", "environments"}


def read_tables(text: str) -> dict[str, dict[str, set[str]]]:
    """Give verb -> member -> types."""
    tables: dict[str, dict[str, set[str]]] = {}
    for section in text.split("\n## ")[1:]:
        verb = section.split("\n", 1)[0].strip()
        rows = ROW.findall(section)
        tables[verb] = {member: set(types.split(", ")) for member, types in rows}
    return tables


def type_of(value: object) -> str:
    """Name a value's type as the tables do."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def members(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf's path and type; an empty list has the type "nothing"."""
    if isinstance(value, dict):
        for name, inner in value.items():
            free = path in FREE
            yield from members(inner, f"{path}.*" if free else f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        if not value:
            yield f"{path}[]", "nothing"
        for inner in value:
            yield from members(inner, f"{path}[]")
    else:
        yield path, type_of(value)


def problems(doc: str, lines: list[str]) -> Iterator[str]:
    """Every difference, as a sentence."""
    tables = read_tables(doc)
    seen: dict[str, set[str]] = {verb: set() for verb in tables}
    empty: dict[str, set[str]] = {verb: set() for verb in tables}
    for line in lines:
        verb, text = line.split("\t", 1)
        if verb not in tables:
            yield f"'{verb}' has no table"
            continue
        for path, kind in members(json.loads(text)):
            if kind == "nothing":
                empty[verb].add(path)
                continue
            seen[verb].add(path)
            if kind not in tables[verb].get(path, set()):
                yield f"'{verb}': '{path}' is a {kind}, which its table lacks"
    for verb, table in tables.items():
        for path in table:
            begins = [e for e in empty[verb] if path.startswith(e)]
            filled = any(s.startswith(e) for e in begins for s in seen[verb])
            if path not in seen[verb] and not (begins and not filled):
                yield f"'{verb}': '{path}' was in no output"


def main() -> None:
    """Say what differs, and fail if anything does."""
    found = list(problems(Path(sys.argv[1]).read_text(), sys.stdin.read().splitlines()))
    print("\n".join(found), file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
