# SPDX-License-Identifier: Apache-2.0
"""The drain matrix: on a private cluster whose plugin is tests/it/failing_hooks.c's,
each hook meets each fault.

    drain.py --dir CLUSTER [--rounds N] [--every K] [--cells REGEX] [--seed N]

A cell is a hook and a fault; in each round a job with the option meets it there,
beside one without the option, and another with the option finds all well again.
Whatever happens: no node is ever drained or down; every job ends; who asked for an
environment has it or is told why not; who did not finds exit code, output and
environment as without the plugin; `aq verify` is clean; no process is left.

A node's cells are done in turn, nodes at once.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import faults
from drain_cells import MISSES, UNHEARD, USERS_OWN, Cell, choose, impossible
from drain_seen import (
    PATIENCE,
    Ended,
    Tally,
    Watch,
    WrongError,
    builders,
    differs,
    left,
    restart_slurmd,
    run,
    wait,
    wait_until_idle,
)

TEST_USER = "aqtest"
CANCELLED = 75  # beside a watcher of its own a cancelled task may need KillWait, 30 s
ATTEMPTS = 3
LAST = 10  # that a fault may come after its job, on a loaded machine
ASKED = "faulted"  # the name of jobs that cancelling is meant for
NO_ENVIRONMENT = 125
WRONG_MAX = 5  # then it ends
SIGNALS = 128

# Of all nodes at once: aq.conf is one, and srun is on none.
ALONE_FAULT, ALONE_HOOK = "unreadable", "submit"
# What a job without the option shows: all that it has, and its exit code.
PLAIN = ("/bin/sh", "-c", "env; echo out; echo err >&2; exit 7")
ASKS = ("/bin/sh", "-c", 'echo "ran $AQ_RESOLUTION $(cat $AQ_ENV_PREFIX/bin/tool)"')
RAN = re.compile(
    r"^ran (reused|created|linked) content$", re.MULTILINE
)  # What somebody who submits without the option may meet: with the others it is their own
# srun that dies or is stopped.
SUBMITS = ("error", "memory", "full", "corrupt", "missing", "unreadable", "flood")

# What a hook's program does.  Slurm ends all that descends from a slurmstepd whose job is
# over, in the middle of a release: so init has it as its own.  Of two hooks that do it at
# once each did half, and failed: one comes after the other.
APART = """exec 9>{lock}
flock 9
( ( {line} ) & )
exec 9>&-
flock {lock} true"""

WAITS = re.compile(r"srun: job \d+ (queued and waiting for|has been allocated) resources")

BAD_CONFS = (
    "rm -f {conf}",
    "rm -f {conf}; mkdir {conf}",
    "echo nonsense >{conf}",
    "chmod 666 {conf}",
    "chmod 0 {conf}; chown daemon {conf}",
    "head -c 65536 /dev/urandom >{conf}",
    "ln -sf /nowhere {conf}",
)


class Node:
    """One of the cluster's, and the cells that are its own."""

    def __init__(self, cluster: Path, name: str, tally: Tally) -> None:
        """Files of its own at hand."""
        self.dir, self.name, self.tally = cluster, name, tally
        self.place = cluster / "submit"
        self.conf = cluster / "etc/aq.conf"
        self.lib = cluster / "nodes" / name / "lib"
        self.run_dir = cluster / "nodes" / name / "run"
        self.n = 0
        self.plain: dict[str, Ended] = {}
        self.differing: set[str] = set()

    # -- jobs --

    def as_user(self, *words: str) -> list[str]:
        kept = [f"{n}={os.environ[n]}" for n in ("PATH", "SLURM_CONF")]
        who = ["setpriv", f"--reuid={TEST_USER}", f"--regid={TEST_USER}", "--init-groups"]
        return [*who, "env", "-i", f"--chdir={self.place}", *kept, *words]

    def request(self, version: int) -> Path:
        """One that asks for x of that version."""
        path = self.place / f"{self.name}-{version}.yaml"
        path.write_text(f"{{channels: [conda-forge], dependencies: [x={version}]}}\n")
        return path

    def new_request(self) -> Path:
        """One that nobody had."""
        self.n += 1
        return self.request(int(self.name[1:]) * 1_000_000 + self.n)

    def start(self, name: str, *words: str) -> subprocess.Popen[str]:
        command = self.as_user("srun", "-J", name, "-w", self.name, *words)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def end(self, job: subprocess.Popen[str], since: float, seconds: float = PATIENCE) -> Ended:
        """It ends by itself, or it is stranded."""
        try:
            out, err = job.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            said = run("squeue", "-w", self.name, "-o", "%A %j %T %r %M")
            job.kill()
            job.communicate()
            raise WrongError(f"a job does not end: {said}") from None
        return Ended(job.returncode, out, err, time.monotonic() - since)

    def batch(self, file: Path) -> Ended:
        """The same as a batch job, whose script is a task and starts a step."""
        out = self.place / f"{self.name}.out"
        out.unlink(missing_ok=True)
        since = time.monotonic()
        words = [f"--aq-requirements={file}", "--parsable", "-J", ASKED, "-w", self.name]
        script = f"{ASKS[2]}; srun /bin/sh -c '{ASKS[2]}'"
        done = subprocess.run(
            self.as_user("sbatch", *words, f"--output={out}", "--wrap", script),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            return Ended(done.returncode, done.stdout, done.stderr)
        job = done.stdout.strip()
        said = ""

        def is_over() -> bool:
            nonlocal said
            said = run("scontrol", "-o", "show", "job", job)
            return not re.search("JobState=(PENDING|RUNNING|CONFIG|COMPLETING)", said)

        wait(f"job {job} ends", CANCELLED, is_over)
        code = re.search(r"ExitCode=(\d+):(\d+)", said)
        assert code
        status = int(code[1]) or (SIGNALS + int(code[2]) if int(code[2]) else 0)
        text = out.read_text(errors="replace") if out.exists() else ""
        return Ended(status, text, text, time.monotonic() - since)

    # -- as it is without the plugin --

    def learn(self) -> None:
        """What a job shows there, and what differs from one to the next."""
        plugstack = self.dir / "etc/plugstack.conf"
        text = plugstack.read_text()
        plugstack.write_text("# none\n")
        try:
            first, second = (
                self.end(self.start("plain", *PLAIN), time.monotonic()) for _ in range(2)
            )
        finally:
            plugstack.write_text(text)
        one, two = first.out.splitlines(), second.out.splitlines()
        assert len(one) == len(two), (first, second)
        # in seconds: two jobs may have the same
        self.differing = {"SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME"}
        self.differing |= {a.split("=")[0] for a, b in zip(one, two, strict=True) if a != b}
        self.plain["srun"] = first

    def masked(self, text: str) -> str:
        """Without what differs from job to job."""
        lines = (line.split("=")[0] for line in text.splitlines())
        return "\n".join(
            name if name in self.differing else line
            for name, line in zip(lines, text.splitlines(), strict=True)
        )

    def errors(self, text: str) -> list[str]:
        """Without what srun says while it waits; its other lines may come first."""
        return sorted(li for li in text.splitlines() if not WAITS.match(li))

    def check_plain(self, got: Ended) -> None:
        was = self.plain["srun"]
        for what, now, then in (
            ("exit code", got.status, was.status),
            ("output", self.masked(got.out), self.masked(was.out)),
            ("errors", self.errors(got.err), self.errors(was.err)),
        ):
            if now != then:
                raise WrongError(f"a job without the option: {what}: {differs(now, then)}")

    # -- a cell --

    def armed(self, cell: Cell) -> tuple[Path, str]:
        """Where its plan is, and what ends before its name."""
        node = "submit" if cell.hook == "submit" else self.name
        path = Path(f"{self.conf}.faults.{node}.{cell.hook}")
        return path, f"{path}.run"

    def write_plan(self, path: Path, cell: Cell) -> None:
        """Which call fails."""
        if call := cell.call():
            kind, n, later = call
            path.write_bytes(faults.PLAN.pack(faults.KINDS.index(kind), n, later, 0, 0))
            path.chmod(0o666)

    def write_program(self, path: str, cell: Cell) -> None:
        """What is done before the hook begins."""
        if cell.fault == "corrupt":
            size = (0, 100, 8192, 65536)[cell.turn % 4]
            files = f"{self.lib}/cache.db {self.run_dir}/refs.db {self.run_dir}/hits/*"
            line = f"for f in {files}; do head -c {size} /dev/urandom >$f; done"
        elif cell.fault == "missing":
            both = (f"{self.lib} {self.run_dir}-public", self.run_dir, f"{self.lib} {self.run_dir}")
            # at once: who works there goes on there
            gone = f"{self.dir}/gone/{self.name}"
            line = f"mkdir -p {gone}; mv {both[cell.turn % 3]} $(mktemp -d {gone}/XXXXXX)"
        elif cell.fault == "unreadable":
            line = BAD_CONFS[cell.turn % len(BAD_CONFS)].format(conf=self.conf)
        elif cell.fault == "cancel" and cell.hook != "builder":  # by then it stops there
            line = f"scancel --quiet --jobname={ASKED} --nodelist={self.name}"
        else:
            return
        env = f"PATH={os.environ['PATH']} SLURM_CONF={os.environ['SLURM_CONF']}"
        met = self.mark(Path(path).with_suffix(""))
        met.touch()
        met.chmod(0o666)
        if cell.fault == "cancel":  # what is cancelled itself says nothing afterwards
            told = f"echo >>{met}\n{line}"
        else:
            told = APART.format(line=f"{line} && echo >>{met}", lock=f"{met}.lock")
        Path(path).write_text(f"#!/bin/sh\nexec >/dev/null 2>&1\numask 077\nexport {env}\n{told}\n")
        Path(path).chmod(0o755)
        # a user cannot do that: it is done now, or when they say
        if cell.hook == "submit" and cell.fault != "cancel":
            run(path)
            Path(path).unlink()
        elif cell.hook == "apply" and cell.fault != "cancel":
            Path(path).rename(f"{path}.root")
            asked = Path(f"{path}.asked")
            asked.touch()
            asked.chmod(0o666)
            Path(path).write_text(
                f"#!/bin/sh\necho >>{asked}\nuntil [ -s {met} ]; do sleep 0.02; done\n"
            )
            Path(path).chmod(0o755)

    def serve(self, program: str, is_over: threading.Event) -> None:
        """Do what a user's program asks for."""
        asked = Path(f"{program}.asked")
        while asked.exists() and not is_over.wait(0.02):
            if asked.stat().st_size:
                run(f"{program}.root")
                return

    @contextmanager
    def with_fault(self, cell: Cell) -> Iterator[Path]:
        """Until the jobs that meet it are over; then all is as it was."""
        plan, program = self.armed(cell)
        text, mode = self.conf.read_text(), self.conf.stat().st_mode
        self.write_plan(plan, cell)
        self.write_program(program, cell)
        is_over = threading.Event()
        server = threading.Thread(target=self.serve, args=(program, is_over))
        server.start()
        try:
            yield plan
        finally:
            is_over.set()
            server.join()
            if cell.fault == "unreadable":
                if self.conf.is_dir():
                    self.conf.rmdir()
                new = self.conf.with_suffix(".new")
                new.write_text(text)
                new.chmod(mode & 0o777)
                new.rename(self.conf)
            plan.unlink(missing_ok=True)
            for end in ("", ".root", ".asked"):
                Path(program + end).unlink(missing_ok=True)
            lock = Path(f"{self.mark(plan)}.lock")
            if lock.exists():  # who does it still, though its hook went on
                run("flock", str(lock), "true")
            for path in (self.mark(plan), lock):
                path.unlink(missing_ok=True)

    def mark(self, plan: Path) -> Path:
        """What the program writes to."""
        return plan.with_name(plan.name + ".met")

    def happened(self, plan: Path) -> int:
        """Whether the fault was met: faults.h says how."""
        with suppress(FileNotFoundError):
            if met := int(faults.PLAN.unpack(plan.read_bytes())[4]):
                return met
        with suppress(FileNotFoundError):
            return int(self.mark(plan).stat().st_size > 0)
        return 0

    def calls(self, plan: Path) -> int:
        """Of that kind, that there were."""
        return int(faults.PLAN.unpack(plan.read_bytes())[3]) if plan.exists() else 0

    def asked(self, cell: Cell, plan: Path) -> Ended:
        """The job that meets it."""
        misses = cell.hook in MISSES or (cell.hook == "stage" and cell.turn % 3 == 1)
        file = self.new_request() if misses else self.request(1)
        if (cell.hook, cell.fault) == ("submit", "flood"):
            file = Path("/dev/zero")
        if cell.hook not in USERS_OWN and cell.turn % 3 == 2:
            return self.batch(file)
        since = time.monotonic()
        job = self.start(ASKED, f"--aq-requirements={file}", *ASKS)
        if cell.hook in USERS_OWN and cell.fault in ("hang", "cancel"):
            # nothing bounds a user's own process but they themselves
            until = time.monotonic() + PATIENCE
            while job.poll() is None and not self.happened(plan) and time.monotonic() < until:
                time.sleep(0.05)
            if job.poll() is None:
                if cell.hook == "submit":  # where it stops nothing is queued; it may not have
                    job.kill()
                run("scancel", "--quiet", f"--jobname={ASKED}", f"--nodelist={self.name}")
        return self.end(job, since, CANCELLED)

    def judge(self, cell: Cell, job: Ended, met: int) -> str:
        """How it ended, which must be one of these ways."""
        if "a flood" in job.out + job.err:
            raise WrongError("the flood reaches the user")
        if met == 2 and cell.hook not in USERS_OWN:  # FAULT_UNBOUNDED
            raise WrongError("a worker's memory has no bound")
        if job.status == 0 and RAN.search(job.out):
            return "ran"
        if cell.fault == "missing" and job.status == 0 and "ran " in job.out:
            return "ran, and its files were taken away"
        if cell.fault == "cancel" or (cell.fault == "hang" and cell.hook in USERS_OWN):
            return "cancelled"
        told = re.search(r"(?m)^(aq: .+|s\w+: error: .*aq.*|s\w+: error: .+yaml.*)$", job.err)
        # by whom aq.conf was broken, or who came next
        is_refused = cell.hook == "submit" and job.err.strip()
        if job.status and (is_refused or (told and cell.fault == "unreadable")):
            return "refused at submission"
        if cell.hook in USERS_OWN and cell.fault == "crash" and job.status != 0:
            return "the user's own process died"
        if cell.hook in UNHEARD and cell.fault not in ("corrupt", "missing", "unreadable"):
            raise WrongError(f"it fails for what is not its own: {job}")
        if NO_ENVIRONMENT in (job.status, job.status - SIGNALS) and told:
            return "told why not"
        raise WrongError(f"no environment, and no reason: {job}")

    def one(self, cell: Cell) -> None:
        """The cell, until its fault is met: there may be fewer calls than it wants, or
        its program came too late for what it breaks.  Each time is judged.
        """
        calls: int | None = 0
        for _ in range(ATTEMPTS):
            calls = self.attempt(cell)
            if calls is None:
                return
            cell.come_nearer(calls)
        raise WrongError(f"its fault is not met: {cell.call()}, {calls} such calls")

    def attempt(self, cell: Cell) -> int | None:
        """Once; returns how many calls there were, if its fault was not met."""
        # which would be for whoever of the two comes first
        is_apart = cell.hook == "submit"
        with self.with_fault(cell) as plan:
            if cell.hook == "init":
                restart_slurmd(self.dir, self.name)
            since = time.monotonic()
            plain = None if is_apart else self.start("plain", *PLAIN)
            job = self.asked(cell, plan)
            other = self.end(plain, since) if plain else None
            wait_until_idle(self.dir, self.name, CANCELLED)
            with suppress(WrongError):  # slurmstepd's last hook may come after that
                wait("it is met", LAST, lambda: self.happened(plan) or self.calls(plan))
            met, calls = self.happened(plan), self.calls(plan)
            how = self.judge(cell, job, met)
            self.tally.add(cell, job, how)
            if (cell.hook, cell.fault) == ("submit", "flood"):
                met = int(how == "refused at submission")
            if is_apart and cell.fault in SUBMITS:
                other = self.end(self.start("plain", *PLAIN), time.monotonic())
        if other:
            self.tally.add(cell, other, "without the option")
            self.check_plain(other)
        wait_until_idle(self.dir, self.name, CANCELLED)
        with self.tally.lock:
            self.tally.met += bool(met)
        self.heal(cell)
        return None if met else calls

    def heal(self, cell: Cell) -> None:
        """The next one finds all as it should be."""
        if cell.hook == "builder" and cell.fault in ("hang", "cancel"):
            for pid in builders(self.conf, self.name):  # its disk is back
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
        job = self.end(
            self.start("next", f"--aq-requirements={self.request(1)}", *ASKS), time.monotonic()
        )
        self.tally.add(cell, job, "next")
        if job.status or not RAN.search(job.out):
            raise WrongError(f"the next job: {job}")
        wait_until_idle(self.dir, self.name, PATIENCE)
        wait("no builder is left", PATIENCE, lambda: not builders(self.conf, self.name))
        run("aq", "--node", self.name, "verify")
        shutil.rmtree(self.dir / "gone" / self.name, ignore_errors=True)

    def all(self, cells: list[Cell], wrong: list[str]) -> None:
        """Each in turn."""
        for cell in cells:
            try:
                self.one(cell)
            except (WrongError, OSError, subprocess.SubprocessError, AssertionError) as e:
                wrong.append(f"{self.name}: {cell}: {e}")
            if len(wrong) >= WRONG_MAX or self.tally.unwell:
                return


def together(nodes: list[Node], cells: list[Cell], wrong: list[str]) -> None:
    """All cells, each on one of the nodes."""
    threads = [
        threading.Thread(target=n.all, args=(cells[i :: len(nodes)], wrong))
        for i, n in enumerate(nodes)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def main() -> int:
    """All of it."""
    parser = argparse.ArgumentParser(prog="drain.py")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cells", default="")
    args = parser.parse_args()
    tally, wrong, cluster = Tally(), list[str](), args.dir.resolve()
    nodes = [Node(cluster, p.name, tally) for p in sorted((cluster / "nodes").iterdir())]
    for node in nodes:
        node.learn()
    cells = choose(args.rounds, args.every, args.seed, args.cells)
    watch = Watch(tally)
    watch.start()
    since = time.monotonic()
    alone = [c for c in cells if c.fault == ALONE_FAULT or c.hook == ALONE_HOOK]
    together(nodes, [c for c in cells if c not in alone], wrong)
    if not wrong:
        together(nodes[:1], alone, wrong)
    watch.stop()
    watch.look()
    if not wrong:
        with suppress(WrongError):
            wait("nobody is left", PATIENCE, lambda: not left(cluster))
        wrong += left(cluster)
    print(
        f"{len(cells)} cells, {tally.jobs} jobs in {time.monotonic() - since:.0f} s, "
        f"{tally.met} faults met; the slowest took {tally.slowest:.1f} s ({tally.slowest_cell})"
    )
    for line in impossible():
        print(f"no such cell: {line}")
    print(f"ends: {dict(tally.ends)}")
    print(f"states: {dict(tally.states)}")
    for line in sorted(set(wrong + tally.unwell)):
        print(line)
    return 1 if wrong or tally.unwell else 0


if __name__ == "__main__":
    sys.exit(main())
