# SPDX-License-Identifier: Apache-2.0
"""A random history on a private cluster of two nodes, against a model.

    history.py --dir CLUSTER --seed N --count N

The model knows which programs run in which environment, what is pinned, and
which base each node has.  After each operation: whatever runs has its prefix,
its row and a reference; pins and bases are there; no program has missed a file
of its own.  When everything has ended nothing is referenced; without a limit
nothing is there that a workflow left; with one nothing is left but bases.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from history_cluster import PATIENCE, TEST_USER, BrokenError, Cluster

NODES = ("n1", "n2")
REQUESTS = 4
WORKFLOWS = 2
WORKERS_MAX = 8  # programs at once: the machine has two processors
FAILED = 125  # a task whose environment could not be had

# What runs in an environment: it looks at its files all the time, and uses some
# that it has not used before when it may end.
WORKER = """
import json, os, sys, time
place, name, number = sys.argv[1:]
module = __import__("aq_hist_" + number)
mine = [sys.executable, module.__file__, os.__file__, os.path.join(sys.prefix, "pyvenv.cfg")]
with open(f"{place}/up.tmp.{name}", "w") as f:
    json.dump({"prefix": sys.prefix, "pid": os.getpid()}, f)
os.rename(f"{place}/up.tmp.{name}", f"{place}/up.{name}")
while not os.path.exists(f"{place}/stop.{name}"):
    for path in mine:
        if not os.path.exists(path):
            open(f"{place}/lost.{name}", "w").write(path)
            sys.exit(1)
    time.sleep(0.1)
try:
    import email.mime.text, decimal, csv
    open(f"{place}/fine.{name}", "w").close()
except ImportError as e:
    open(f"{place}/lost.{name}", "w").write(str(e))
"""


@dataclass
class Worker:
    """A program that a job or a step of it runs."""

    name: str
    node: str
    job: str
    is_step: bool
    prefix: Path | None = None  # once it is up
    pid: int = 0
    is_stopped: bool = False  # it was told to end, or the job was
    may_fail: bool = False  # its node crashed, or it was cancelled


@dataclass
class Model:
    """What should be so."""

    workers: list[Worker] = field(default_factory=list)
    pinned: dict[str, set[str]] = field(default_factory=lambda: {n: set() for n in NODES})
    base: dict[str, str] = field(default_factory=dict)


class History(Cluster):
    """What is done to a cluster, and what should come of it."""

    def __init__(self, directory: Path, seed: int) -> None:
        """Bases on each node, nothing running."""
        super().__init__(directory)
        self.random = random.Random(seed)  # noqa: S311
        self.model = Model()
        self.n = 0
        self.seen: dict[str, set[str]] = {n: set() for n in NODES}
        self.collected = 0  # also by what epilogs start
        self.did: list[str] = []  # each operation, and to what
        self.sruns: list[subprocess.Popen[bytes]] = []
        self.collectors: dict[str, subprocess.Popen[bytes]] = {}
        (self.place / "worker.py").write_text(WORKER)
        for i in range(REQUESTS):
            (self.place / f"hist-{i}.yaml").write_text(
                f"{{dependencies: [python=3.9, {{pip: [aq-hist-{i}]}}]}}\n"
            )
        for i, more in enumerate(("", ", six")):
            (self.place / f"hist-base-{i}.yaml").write_text(
                f"{{dependencies: [python=3.9, pip{more}]}}\n"
            )
        for node in NODES:
            self.set_base(node, 0)

    # -- the model --

    def look(self) -> None:
        """Who is up by now, and who has ended."""
        for w in self.model.workers:
            up = self.place / f"up.{w.name}"
            if not w.prefix and up.exists():
                said = json.loads(up.read_text())
                w.prefix, w.pid = Path(said["prefix"]), said["pid"]
        jobs = set(self.run("squeue", "-h", "-o", "%A").split())
        for w in list(self.model.workers):
            is_over = w.is_step and w.is_stopped and w.prefix
            if self.is_alive(w) or (w.job in jobs and not is_over):
                continue
            if not w.is_step:
                self.judge(w)
            self.model.workers.remove(w)

    def is_alive(self, w: Worker) -> bool:
        """Whether the program runs: it may without its slurmstepd."""
        if not w.prefix:
            return False
        with suppress(OSError):
            words = Path(f"/proc/{w.pid}/cmdline").read_bytes().split(b"\0")
            return words[2:4] == [str(self.place).encode(), w.name.encode()]
        return False

    def judge(self, w: Worker) -> None:
        """A job that has ended did so for a reason that we know."""
        said = self.run("scontrol", "-o", "show", "job", w.job)
        if f"ExitCode={FAILED}:" in said and not w.may_fail:
            raise BrokenError(f"job {w.job} had no environment: {self.output(w)}")
        if not w.may_fail and not (self.place / f"fine.{w.name}").exists():
            raise BrokenError(f"job {w.job} did not end well: {said} {self.output(w)}")

    def output(self, w: Worker) -> str:
        path = self.place / f"{w.job}.out"
        return path.read_text() if path.exists() else ""

    def running(self, *, is_step: bool | None = None) -> list[Worker]:
        """Programs that are up and were not told to end."""
        return [
            w
            for w in self.model.workers
            if w.prefix and not w.is_stopped and is_step in (None, w.is_step)
        ]

    def check(self) -> None:
        """Everything that must hold at any time."""
        for lost in self.place.glob("lost.*"):
            raise BrokenError(f"{lost.name}: {lost.read_text()}")
        for node in NODES:
            rows = self.rows(node)
            self.collected += len(self.seen[node] - rows)
            self.seen[node] = rows
            must = self.model.pinned[node] | {self.model.base[node]}
            held: set[str] = set()
            for w in self.running():
                if w.node == node and w.prefix and self.is_alive(w):
                    held.add(w.prefix.name)
            for name in must | held:
                if not (self.cache(node) / "envs" / name / "bin").is_dir() or name not in rows:
                    raise BrokenError(f"{node}: '{name}' is in use and gone")
            refs = self.refs(node)
            # one that could not be written holds by its digest
            if "" not in refs and not held <= set(refs):
                raise BrokenError(f"{node}: no reference holds {held - set(refs)}")

    # -- operations --

    def submission(self) -> list[str]:
        """Options of a job or step besides its request: it may be a workflow's."""
        if self.random.randrange(2):
            return []
        return [f"--aq-workflow=flow-{self.random.randrange(WORKFLOWS)}"]

    def note(self, *what: str) -> None:
        """To whom the last operation is done."""
        self.did[-1] += f" {' '.join(what)}"

    def begin_worker(self, node: str, job: str, *, is_step: bool) -> tuple[Worker, list[str]]:
        self.n += 1
        number = self.random.randrange(REQUESTS)
        w = Worker(f"w{self.n}", node, job, is_step)
        self.model.workers.append(w)
        program = ["python", f"{self.place}/worker.py", str(self.place), w.name, str(number)]
        return w, [f"--aq-requirements={self.place}/hist-{number}.yaml", *program]

    def forget_workflow(self) -> None:
        flow = f"flow-{self.random.randrange(WORKFLOWS)}"
        words = ["workflow", "remove", flow, "--user", TEST_USER]
        self.aq(self.random.choice(NODES), *words, ok=(0, 4))

    def submit(self) -> None:
        node = self.random.choice(NODES)
        w, (request, *program) = self.begin_worker(node, "", is_step=False)
        requeue = self.random.choice(["--requeue", "--no-requeue"])
        options = ["-w", node, requeue, f"--output={self.place}/%j.out", request]
        wrapped = f"--wrap=exec {' '.join(program)}"
        command = self.as_user("sbatch", "--parsable", *self.submission(), *options, wrapped)
        w.job = self.run(*command).strip()
        self.note(w.name, w.job, node, requeue)

    def step(self) -> None:
        """A step of its own request in a job that runs."""
        jobs = [w for w in self.running(is_step=False) if w.pid and not w.may_fail]
        if not jobs:
            return self.submit()
        job = self.random.choice(jobs)
        w, words = self.begin_worker(job.node, job.job, is_step=True)
        self.note(w.name, w.job)
        command = self.as_user("srun", f"--jobid={job.job}", "--overlap", "-n1")
        command += [*self.submission(), *words]
        quiet = subprocess.DEVNULL
        self.sruns.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
        return None

    def end_one(self) -> None:
        """A program may end, and its job's steps before it."""
        some = self.running()
        if some:
            w = self.random.choice(some)
            self.note(w.name, w.job)
            for other in self.model.workers:
                if other is w or (not w.is_step and other.job == w.job):
                    (self.place / f"stop.{other.name}").touch()
                    other.is_stopped = True

    def jobs_of(self, w: Worker, *, are_gone: bool) -> None:
        """What happened to w's job happened to all that it runs."""
        for other in self.model.workers:
            if other.job == w.job:
                other.may_fail = True
                other.is_stopped |= are_gone

    def cancel(self) -> None:
        some = [w for w in self.model.workers if not w.is_step]
        if some:
            w = self.random.choice(some)
            self.note(w.name, w.job)
            self.jobs_of(w, are_gone=True)
            self.run("scancel", w.job)

    def requeue(self) -> None:
        """The same job again, from the start."""
        some = [w for w in self.running(is_step=False) if not w.may_fail]
        if not some:
            return
        w = self.random.choice(some)
        self.note(w.name, w.job)
        self.jobs_of(w, are_gone=True)
        # one that was submitted with --no-requeue is not
        if not self.is_ok("scontrol", "requeue", w.job):
            for other in self.model.workers:
                if other.job == w.job:
                    other.may_fail = other.is_stopped = False
        else:
            (self.place / f"up.{w.name}").unlink(missing_ok=True)
            w.prefix, w.pid, w.is_stopped = None, 0, False

    def kill_stepd(self) -> None:
        """What it ran runs on."""
        some = [w for w in self.running(is_step=False) if not w.may_fail]
        if some:
            w = self.random.choice(some)
            self.note(w.name, w.job)
            self.jobs_of(w, are_gone=False)
            self.run("pkill", "-KILL", "-f", rf"^slurmstepd: \[{w.job}\.", ok=(0, 1))

    def crash_slurmd(self) -> None:
        """Steps run on, and the next slurmd finds them."""
        node = self.random.choice(NODES)
        self.note(node)
        pid = self.slurmd(node)
        for w in self.model.workers:
            # it may have been on its way there
            w.may_fail |= w.node == node and not w.prefix
        os.kill(pid, signal.SIGKILL)
        self.wait("slurmd ends", lambda: not Path(f"/proc/{pid}").exists())
        lib = Path(__file__).parent.parent / "lib"
        script = (
            'for part in wait accounts cluster; do . "$0/$part.sh"; done;'
            'CLUSTER_SLURM=${CLUSTER_SLURM:-/usr}; cluster_start_node "$1" "$2"'
        )
        self.run("bash", "-c", script, str(lib), str(self.dir), node)

    def gc(self) -> None:
        node = self.random.choice(NODES)
        words = ["gc", *self.random.choice([[], [], ["--reconcile"]])]
        self.aq(node, *words)

    def gc_loop(self) -> None:
        """A collector that is always there, until the next time."""
        node = self.random.choice(NODES)
        if node in self.collectors:
            self.stop_collector(node)
            return
        script = 'until [ -e "$1" ]; do aq --node "$0" gc >/dev/null 2>&1 || exit; done'
        command = ["bash", "-c", script, node, str(self.place / f"gc-stop.{node}")]
        self.collectors[node] = subprocess.Popen(command)

    def stop_collector(self, node: str) -> None:
        stop = self.place / f"gc-stop.{node}"
        stop.touch()
        if self.collectors.pop(node).wait(PATIENCE) != 0:
            raise BrokenError(f"{node}: a collection failed")
        stop.unlink()

    def pin(self) -> None:
        node = self.random.choice(NODES)
        for name in sorted(self.rows(node)):
            if self.random.randrange(3) == 0:
                # it may be collected at this moment
                self.aq(node, "pin", name, ok=(0, 4))
                if name in self.rows(node):
                    self.model.pinned[node].add(name)
                return

    def unpin(self) -> None:
        node = self.random.choice(NODES)
        if self.model.pinned[node]:
            name = self.random.choice(sorted(self.model.pinned[node]))
            self.model.pinned[node].remove(name)
            self.aq(node, "unpin", name)

    def set_base(self, node: str, which: int) -> None:
        self.aq(node, "base", "add", "3.9", "--file", str(self.place / f"hist-base-{which}.yaml"))
        said = json.loads(self.aq(node, "base", "list", "--json"))
        self.model.base[node] = said["bases"][0]["name"]

    def change_base(self) -> None:
        self.set_base(self.random.choice(NODES), self.random.randrange(2))

    def act(self) -> None:
        """One operation."""
        table: list[tuple[int, Callable[[], None]]] = [
            (24, self.submit),
            (14, self.step),
            (26, self.end_one),
            (6, self.cancel),
            (6, self.requeue),
            (5, self.kill_stepd),
            (3, self.crash_slurmd),
            (14, self.gc),
            (4, self.gc_loop),
            (4, self.pin),
            (4, self.unpin),
            (3, self.change_base),
            (3, self.forget_workflow),
        ]
        weights, operations = zip(*table, strict=True)
        do = self.random.choices(operations, weights)[0]
        if len(self.model.workers) >= WORKERS_MAX and do in (self.submit, self.step):
            # somebody has to be up, or on its way out
            self.push()
            self.wait("a program begins or ends", self.has_moved)
            do = self.end_one
        self.did.append(str(do.__name__))
        do()

    def push(self) -> None:
        """What waits for nothing but time, or for ever, is helped on."""
        for w in self.model.workers:
            if w.is_stopped:
                (self.place / f"stop.{w.name}").touch()
            if w.is_step:
                continue
            if w.is_stopped:
                # with its slurmstepd gone nobody tells Slurm
                self.wait(f"{w.name} ends", lambda w=w: not self.is_alive(w))  # type: ignore[misc]
                w.may_fail = True
                self.run("scancel", w.job, ok=(0, 1))

    def has_moved(self) -> bool:
        self.look()
        for w in self.model.workers:
            if not w.prefix and not w.is_step:
                # one that was requeued has to wait for minutes
                self.is_ok("scontrol", "update", f"jobid={w.job}", "starttime=now")
        return bool(self.running()) or len(self.model.workers) < WORKERS_MAX

    # -- the end --

    def nothing_runs(self) -> bool:
        self.look()
        idle = self.run("sinfo", "-h", "-N", "-o", "%T").split()
        # a builder that nobody waits for any more may be at its last step
        builders = self.run("pgrep", "-f", f"aq-builder .*{self.dir}/etc/aq.conf", ok=(0, 1))
        return not self.model.workers and set(idle) == {"idle"} and not builders

    def end(self) -> None:
        """Everything ends: nothing is referenced, nothing but bases is left."""
        for node in list(self.collectors):
            self.stop_collector(node)
        for w in self.model.workers:
            (self.place / f"stop.{w.name}").touch()
            w.may_fail = w.is_stopped = True
        for job in {w.job for w in self.model.workers}:
            self.run("scancel", job, ok=(0, 1))
        self.wait("everything ends", self.nothing_runs)
        # of steps whose slurmstepd was killed: it waits for ever
        for srun in self.sruns:
            srun.kill()
            srun.wait()
        self.check()
        self.limit("max_size = 1", "max_size = 0")
        for node in NODES:
            with self.explained(node):
                self.wait("what workflows left goes", lambda n=node: not self.left(n))  # type: ignore[misc]
        self.limit("max_size = 0", "max_size = 1")
        for node in NODES:
            # Slurm may send an epilog once more when a slurmd has crashed
            with self.explained(node):
                self.wait("nothing else is left", lambda n=node: self.is_settled(n))  # type: ignore[misc]
            for name in self.model.pinned[node]:
                self.aq(node, "unpin", name)
            self.collect_all(node)
            self.is_empty(node)

    def is_settled(self, node: str) -> bool:
        """Whether a collection leaves what is pinned, and bases, and what these need."""
        self.collect_all(node, "--reconcile")
        kept = self.model.pinned[node] | {self.model.base[node]}
        rows = self.rows(node)
        return rows == kept | (self.bases_of(node, kept) & rows)

    def is_empty(self, node: str) -> None:
        listed = json.loads(self.aq(node, "list", "--json"))["environments"]
        run = self.dir / "nodes" / node / "run"
        left = {
            "rows": {e["name"] for e in listed} - {self.model.base[node]},
            "envs": {p.name for p in (self.cache(node) / "envs").iterdir()}
            - {self.model.base[node]},
            "meta": {p.name for p in (self.cache(node) / "meta").iterdir()}
            - {self.model.base[node], "base-3.9"},
            "trash": {p.name for p in (self.cache(node) / "trash").iterdir()}
            - {".reserve", ".ended"},
            "references": set(self.refs(node)),
            "leases": {p.name for p in (run / "leases").iterdir()},
            "jobs": {p.name for p in (run / "jobs").iterdir()},
        }
        if any(left.values()):
            raise BrokenError(f"{node}: left are {left}: {self.explain(node, left['rows'])}")


def main() -> None:
    """Run it, and say what was done when it broke."""
    parser = argparse.ArgumentParser(prog="history.py")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    args = parser.parse_args()
    history = History(args.dir.resolve(), args.seed)
    try:
        for _ in range(args.count):
            history.act()
            history.look()
            history.check()
        history.did.append("end")
        history.end()
    except (BrokenError, subprocess.SubprocessError) as e:
        for node in list(history.collectors):
            history.collectors.pop(node).kill()
        did = history.did
        sys.exit(f"seed {args.seed}, after {len(did)} operations ({'; '.join(did)}): {e}")
    did_what = f"{args.count} operations, {history.n} programs, {history.collected} collected"
    print(f"seed {args.seed}: {did_what}")
    # it would be no test of collecting otherwise
    if history.collected < args.count // 20:
        sys.exit(f"only {history.collected} environments were collected")


if __name__ == "__main__":
    main()
