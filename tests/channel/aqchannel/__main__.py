# SPDX-License-Identifier: Apache-2.0
"""Write a channel: python -m aqchannel --recipe DIR --work DIR --out DIR.

The work directory holds what make-channel fetched: jars/*.jar and
wheels/X.Y/*.whl.  Interpreters come first, because they compile what native
wheels bring; then all wheels, the largest first, on every core; then the
index.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from rattler.index import index_fs

from aqchannel.cpython import pack_python, stage
from aqchannel.demos import pack_demos
from aqchannel.wheel import is_pure, pack_wheel


def main() -> None:
    """Parse the command line and write the channel."""
    parser = argparse.ArgumentParser(prog="aqchannel", description=__doc__.splitlines()[0])
    for name in ("recipe", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    jars = read_pythons(args.recipe / "pythons.txt", args.work / "jars")
    stages = args.work / "stage"
    interpreters = {v: stages / f"python{v}" for v in jars}
    started = time.monotonic()

    with ProcessPoolExecutor(os.cpu_count()) as pool:
        staged = [pool.submit(stage, v, jar, interpreters[v]) for v, jar in jars.items()]
        wait_for(staged, "unpacking interpreters")
        jobs = [
            pool.submit(
                pack_wheel, path, v, interpreters[v] / "bin/python", stages / f"w{n}", args.out
            )
            for n, (path, v) in enumerate(choose_wheels(args.work / "wheels", list(jars)))
        ]
        wait_for(jobs, "packing wheels")
        # after the wheels: packing puts placeholders into the staged copies
        jobs = [
            pool.submit(pack_python, v, jar, interpreters[v], args.out) for v, jar in jars.items()
        ]
        jobs.append(pool.submit(pack_demos, stages / "demos", args.out))
        wait_for(jobs, "packing interpreters")

    collect_wheels(args.work / "wheels", args.out / "wheels")
    asyncio.run(index_fs(args.out, write_zst=True, write_shards=False, force=True))
    packages = len(list(args.out.glob("*/*.conda")))
    print(f"{packages} packages in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    # py-rattler's threads may abort the interpreter while it finalises
    os._exit(0)


def read_pythons(path: Path, jars: Path) -> dict[str, Path]:
    """The versions of pythons.txt, oldest first, each with its jar."""
    lines = [line.split() for line in path.read_text().splitlines()]
    pairs = [words for words in lines if words and not words[0].startswith("#")]
    return {v: jars / f"cpython-{a}-linux-x86_64.jar" for v, a in pairs}


def choose_wheels(directory: Path, pythons: list[str]) -> list[tuple[Path, str]]:
    """Each wheel with the Python that packs it, the largest first.

    A pure wheel is packed once, by the first (oldest) Python that has it.
    """
    chosen: dict[str, tuple[Path, str]] = {}
    for python in pythons:
        for path in sorted((directory / python).glob("*.whl")):
            key = path.name if is_pure(path) else f"{python}/{path.name}"
            chosen.setdefault(key, (path, python))
    return sorted(chosen.values(), key=lambda pair: -pair[0].stat().st_size)


def collect_wheels(source: Path, target: Path) -> None:
    """One flat directory of all wheels, for pip's and uv's --find-links."""
    target.mkdir(parents=True)
    for path in source.glob("*/*.whl"):
        shutil.copyfile(path, target / path.name)


def wait_for(jobs: list[Future[None]], what: str) -> None:
    """Wait for all jobs, showing how many are done; the first error ends it."""
    is_terminal = sys.stderr.isatty()
    for done, job in enumerate(as_completed(jobs), 1):
        job.result()
        if is_terminal:
            print(f"\r  {what}: {done}/{len(jobs)}", end="", file=sys.stderr, flush=True)
    end = "\n" if is_terminal else f"  {what}: {len(jobs)}\n"
    print(end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
