# SPDX-License-Identifier: Apache-2.0
"""What the drain matrix (drain.py) sees of a cluster: nodes' states, jobs' ends,
processes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 60  # seconds for a job: its hooks' deadlines are 2 s each, the machine is loaded

LOG_LINES = 40  # of each, that say what happened


class WrongError(Exception):
    """What must not happen has."""


@dataclass
class Ended:
    """A job that has."""

    status: int
    out: str
    err: str
    seconds: float = 0.0


@dataclass
class Tally:
    """What was seen, of all nodes."""

    jobs: int = 0
    met: int = 0  # times that a fault was met
    ends: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_cell: str = ""
    unwell: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, cell: object, job: Ended, how: str) -> None:
        """A job of the cell's has ended so."""
        with self.lock:
            self.jobs += 1
            self.ends[how] += 1
            if job.seconds > self.slowest:
                self.slowest, self.slowest_cell = job.seconds, str(cell)


def run(*words: str) -> str:
    """What a command that must not fail prints."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise WrongError(f"{words}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def wait(what: str, seconds: float, condition: Callable[[], object]) -> None:
    """Until it is so."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise WrongError(f"still not after {seconds} s: {what}")
        time.sleep(0.05)


class Watch(threading.Thread):
    """The states that nodes have, all the time."""

    def __init__(self, tally: Tally) -> None:
        """Until stop() is called."""
        super().__init__(daemon=True)
        self.tally = tally
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.look()

    def look(self) -> None:
        """Once."""
        said = subprocess.run(
            ["scontrol", "-o", "show", "node"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for line in said.splitlines():
            state = re.search(r" State=(\S+)", line)
            if not state:
                continue
            self.tally.states[state[1]] += 1
            if re.search("DOWN|DRAIN|FAIL|ERROR|UNKNOWN|NOT_RESPONDING", state[1]):
                reason = re.search(r" Reason=(.*)", line)
                self.tally.unwell.append(f"{line.split()[0]} {state[1]} {reason and reason[1]}")

    def stop(self) -> None:
        self.over.set()
        self.join()


def differs(now: object, then: object) -> str:
    """Which lines."""
    new, old = str(now).splitlines(), str(then).splitlines()
    return f"{[n for n in new if n not in old]} instead of {[n for n in old if n not in new]}"


def is_of(path: Path, cluster: Path) -> bool:
    """Whether the process is one of the cluster's daemons, or what they started."""
    return f"AQ_CLUSTER={cluster}".encode() in (path / "environ").read_bytes().split(b"\0")


def words_of(path: Path) -> list[bytes]:
    """Its command."""
    return (path / "cmdline").read_bytes().split(b"\0")


def processes(condition: Callable[[Path], bool]) -> list[int]:
    """Those for which it holds, but for what ends meanwhile."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found += [int(path.name)] if condition(path) else []
    return found


def builders(conf: Path, node: str) -> list[int]:
    """The aq-builders of a node."""

    def is_one(path: Path) -> bool:
        words = words_of(path)
        return (
            words[0].endswith(b"aq-builder")
            and str(conf).encode() in words
            and node.encode() in words
        )

    return processes(is_one)


def restart_slurmd(cluster: Path, node: str) -> None:
    """It reads what there is."""

    def is_one(path: Path) -> bool:
        words = words_of(path)
        return (
            words[0].endswith(b"slurmd")
            and words[1:3] == [b"-N", node.encode()]
            and is_of(path, cluster)
        )

    for pid in processes(is_one):
        os.kill(pid, signal.SIGTERM)
    wait("slurmd ends", PATIENCE, lambda: not processes(is_one))
    lib = Path(__file__).parent.parent / "lib"
    script = (
        'for part in wait accounts cluster; do . "$0/$part.sh"; done;'
        'CLUSTER_SLURM=${CLUSTER_SLURM:-/usr}; cluster_start_node "$1" "$2"'
    )
    run("bash", "-c", script, str(lib), str(cluster), node)


def stuck(cluster: Path, node: str) -> str:
    """What is to be known of a node whose jobs do not end."""

    def where(pid: int) -> str:
        path = Path(f"/proc/{pid}")
        words = b" ".join(words_of(path)).decode(errors="replace")
        return f"{pid} {words}: {(path / 'wchan').read_text()}"

    lines = [
        run("squeue", "-w", node, "-o", "%A %j %T %r %M"),
        run("scontrol", "show", "node", node),
    ]
    for pid in processes(lambda path: is_of(path, cluster)):
        with suppress(OSError):
            lines.append(where(pid))
    for name in (f"slurmd-{node}", "slurmctld"):
        log = (cluster / "log" / f"{name}.log").read_text(errors="replace")
        lines += [f"-- {name}", *log.splitlines()[-LOG_LINES:]]
    return "\n".join(lines)


def wait_until_idle(cluster: Path, node: str, seconds: float) -> None:
    """No job of the node is there, nor its end to come."""

    def is_idle() -> bool:
        return not run("squeue", "-h", "-w", node, "-o", "%A")

    try:
        wait("its jobs are over", seconds, is_idle)
    except WrongError as e:
        raise WrongError(f"{e}\n{stuck(cluster, node)}") from None


def left(cluster: Path) -> list[str]:
    """Processes that are neither Slurm's daemons nor ours to expect."""

    def is_one(path: Path) -> bool:
        words = b" ".join(words_of(path)).decode()
        daemons = r"slurmctld|slurmd|munged|slurmscriptd|slurmstepd infinity"
        return is_of(path, cluster) and not re.search(daemons, words)

    return [f"left behind: {pid}" for pid in processes(is_one)]
