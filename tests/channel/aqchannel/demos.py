# SPDX-License-Identifier: Apache-2.0
"""Small packages with a purpose each: what a test needs and no wheel brings."""

from __future__ import annotations

from pathlib import Path

from aqchannel.archive import PLACEHOLDER, Package, pack, put, settle

ACTIVATE = """\
export ACTIVATE_DEMO="on:$CONDA_PREFIX"
export ACTIVATE_DEMO_OLD="${DEMO_VAR:-}"
"""
DEACTIVATE = """\
unset ACTIVATE_DEMO ACTIVATE_DEMO_OLD
"""
POST_LINK = """\
#!/bin/bash
echo "linked $PKG_NAME-$PKG_VERSION into $PREFIX" >> "$PREFIX/.messages.txt"
mkdir -p "$PREFIX/var" && date +%s > "$PREFIX/var/postlink-demo.stamp"
"""
PRE_UNLINK = """\
#!/bin/bash
rm -f "$PREFIX/var/postlink-demo.stamp"
"""
PREFIX_SCRIPT = f"""\
#!{PLACEHOLDER}/bin/python
import sys; print(sys.prefix, {PLACEHOLDER!r})
"""
ZONE = Path("/usr/share/zoneinfo/UTC")
BASE = (
    "python pip setuptools wheel numpy pandas pyarrow cloudpickle pyyaml requests pydantic"
    " packaging"
)


def pack_demos(stage: Path, channel: Path) -> None:
    """Write all of them; stage is a directory of their own."""

    def demo(package: Package, files: dict[str, bytes | str]) -> None:
        root = stage / package.name
        root.mkdir(parents=True)
        for name, content in files.items():
            put(root, name, content, 0o755 if name.startswith("bin/") else 0o644)
        settle(root)
        pack(root, package, channel)

    # python depends on it; one zone is enough
    zone = ZONE.read_bytes() if ZONE.exists() else b"TZif"
    demo(_generic("tzdata", version="2024b"), {"share/zoneinfo/UTC": zone})

    # scripts that follow CONDA_PREFIX and a variable of the caller's
    demo(
        _generic("activate-demo"),
        {
            "etc/conda/activate.d/activate-demo.sh": ACTIVATE,
            "etc/conda/deactivate.d/activate-demo.sh": DEACTIVATE,
            "etc/conda/env_vars.d/activate-demo.json": '{"ENVVARS_DEMO": "from-json"}\n',
        },
    )

    # a link script: it must leave no stamp unless policy lets it run
    demo(
        _native("postlink-demo"),
        {
            "bin/.postlink-demo-post-link.sh": POST_LINK,
            "bin/.postlink-demo-pre-unlink.sh": PRE_UNLINK,
        },
    )

    # the prefix in a text file, in a binary file and in a script's first line
    text, binary, script = (
        "share/prefix-demo/prefix.txt",
        "share/prefix-demo/prefix.bin",
        "bin/prefix-demo",
    )
    package = _native("prefix-demo", depends=["python"])
    package.prefix_files = {text: "text", binary: "binary", script: "text"}
    content: dict[str, bytes | str] = {
        text: f"{PLACEHOLDER}\n",
        binary: b"BIN\0" + PLACEHOLDER.encode() + b"/share\0END\0",
        script: PREFIX_SCRIPT,
    }
    demo(package, content)

    # depends on what nobody has: solving fails with the solver's own reason
    demo(_generic("unsatisfiable-demo", depends=["no-such-package >=1"]), {})

    # what an administrator's base holds
    demo(_generic("aq-base", depends=BASE.split()), {})


def _generic(name: str, version: str = "1.0", depends: list[str] | None = None) -> Package:
    return Package(name, version, "0", "noarch", depends or [], noarch="generic")


def _native(name: str, depends: list[str] | None = None) -> Package:
    return Package(name, "1.0", "haq_0", "linux-64", depends or [])
