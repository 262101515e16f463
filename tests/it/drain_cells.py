# SPDX-License-Identifier: Apache-2.0
"""The drain matrix's cells (drain.py): hooks, faults, and which call of what kind is
one.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

HOOKS = (
    "submit",
    "init",  # and slurmd's own: it starts with the fault
    "prolog",
    "stage",
    "build",
    "builder",  # what the task starts
    "apply",
    "forked",
    "release",
    "epilog",
)
FAULTS = (
    "error",
    "crash",
    "hang",
    "memory",
    "full",
    "corrupt",
    "missing",
    "unreadable",
    "cancel",
    "flood",
)
# What a fault arms (tests/unit/faults.h), in turn; "later": from that call on.
KINDS: dict[str, tuple[str, ...]] = {
    "error": ("disk", "open", "read", "lock", "fork", "rights", "signal"),
    "crash": ("kill", "abort"),
    "hang": ("hang",),
    "memory": ("memory", "grow"),
    "full": ("disk later",),
    "flood": ("flood",),
}
ALL = tuple({k.split()[0] for kinds in KINDS.values() for k in kinds})
# What cannot fail because the hook does nothing of that kind, so that there is no such
# cell: counted on a cluster, with the call that fails so late that none does.  What is not here
# and is not met either is a failure of the test.
NO_CALLS: dict[str, tuple[tuple[str, ...], str]] = {
    "init": (ALL, "it reads words that Slurm has read, and calls nothing"),
    "submit": (
        ("disk", "kill", "lock", "fork", "rights", "grow"),
        "it reads the request, and changes nothing",
    ),
    "prolog": (("lock",), "it locks nothing: it writes the job's mark"),
    "build": (
        ("memory", "disk", "kill", "lock", "grow"),
        "it forks what starts the builder, and touches neither disk nor memory",
    ),
    "apply": (
        ("disk", "kill", "lock", "rights", "grow"),
        "a user's own process: it reads, waits, and changes its variables",
    ),
    "forked": (ALL, "it closes what the tasks have"),
    "release": (("memory", "lock"), "the lease is marked and removed as it is"),
}
# What is not tried though there are calls.
NOT_TRIED = {
    ("build", "flood"): "the only call of what it forks is the one that takes its output away",
    ("apply", "hang"): "Slurm itself cannot end a task that stops there (docs/design.md, Waiting)",
    ("apply", "flood"): "what the user's own task writes is the user's to read",
}
# Calls of what a hook forks that come before what is told of it: the first one takes its
# output away.
BEFORE = {"flood": 1}
# A new request each time: there is something to build.
MISSES = ("build", "builder", "forked", "apply")
# A user's own process: nothing but the task, or the command, dies with it.
USERS_OWN = ("submit", "build", "builder", "apply")
# Nothing that happens here is a user's to notice.
UNHEARD = ("init", "prolog", "forked", "release", "epilog")


def kinds_of(hook: str, fault: str) -> list[str]:
    """What can be armed there."""
    none = NO_CALLS.get(hook, ((), ""))[0]
    return [k for k in KINDS.get(fault, ()) if k.split()[0] not in none]


def why_not(hook: str, fault: str) -> str:
    """Why there is no such cell; or nothing."""
    if (hook, fault) in NOT_TRIED:
        return NOT_TRIED[hook, fault]
    if (hook, fault) == ("submit", "flood"):  # of its request, not of what it does
        return ""
    return NO_CALLS[hook][1] if fault in KINDS and not kinds_of(hook, fault) else ""


@dataclass
class Cell:
    """A hook, a fault, and how often."""

    hook: str
    fault: str
    turn: int
    n: int = 0  # which of such calls it is, once it is known how many there are

    def __str__(self) -> str:
        """As it is told."""
        return f"{self.hook} x {self.fault} ({self.turn})"

    def call(self) -> tuple[str, int, bool] | None:
        """What fails, and from which call on; or it is a program that does it."""
        if (self.hook, self.fault) == ("submit", "flood"):
            return None
        if self.fault == "cancel":  # and it stops, where it can, until that is felt
            stops = "hang" not in NO_CALLS.get(self.hook, ((), ""))[0]
            stops = stops and (self.hook, "hang") not in NOT_TRIED
            return ("hang", self.n or 1 + self.turn, False) if stops else None
        kinds = kinds_of(self.hook, self.fault)
        if not kinds:
            return None
        kind, *later = kinds[self.turn % len(kinds)].split()
        n = 1 + self.turn // len(kinds) + BEFORE.get(kind, 0)
        if kind in ("memory", "read", "open") and self.turn:
            n *= 7  # there are many
        return kind, self.n or n, bool(later)

    def come_nearer(self, calls: int) -> None:
        """There were fewer: from now on it is one of those, if there were any."""
        call, before = self.call(), BEFORE.get(self.fault, 0)
        if call and calls > before:
            self.n = 1 + before + (call[1] - 1 - before) % (calls - before)


def impossible() -> list[str]:
    """Those that there are not, and why."""
    both = itertools.product(HOOKS, FAULTS)
    return [f"{h} x {f}: {why_not(h, f)}" for h, f in both if why_not(h, f)]


def choose(rounds: int, every: int, seed: int, pattern: str) -> list[Cell]:
    """The cells, all in each round; of a short run one in 'every'."""
    both = [(h, f) for h, f in itertools.product(HOOKS, FAULTS) if not why_not(h, f)]
    cells = [Cell(h, f, t) for t in range(rounds) for h, f in both]
    return [c for c in cells if re.search(pattern, f"{c.hook} {c.fault}")][seed % every :: every]
