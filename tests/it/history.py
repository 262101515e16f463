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
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import leases

NODES = ("n1", "n2")
REQUESTS = 4
WORKFLOWS = 2
WORKERS_MAX = 8  # programs at once: the machine has two processors
PATIENCE = 120  # seconds for whatever is waited for
TEST_USER = "aqtest"
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

# Without what the collector is made of.
LEFT = """
SELECT name FROM environments e
WHERE pinned = 0 AND name NOT IN (SELECT env FROM bases)
  AND name NOT IN (SELECT base FROM environments)
  AND EXISTS (SELECT 1 FROM keys k WHERE k.env = e.name)
  AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.env = e.name
                  AND (k.plain OR k.key IN (SELECT key FROM workflows)))
"""


class BrokenError(Exception):
    """What must hold does not."""


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


class History:
    """The cluster, and what is done to it."""

    def __init__(self, directory: Path, seed: int) -> None:
        """Bases on each node, nothing running."""
        self.dir = directory
        self.place = directory / "submit"
        self.random = random.Random(seed)  # noqa: S311
        self.model = Model()
        self.n = 0
        self.seen: dict[str, set[str]] = {n: set() for n in NODES}
        self.collected = 0  # also by what epilogs start
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

    # -- the system --

    def run(self, *command: str, ok: Sequence[int] = (0,)) -> str:
        """A command that ends as it should; what it printed."""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in ok:
            raise BrokenError(f"{' '.join(command)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def is_ok(self, *command: str) -> bool:
        """Whether a command that may fail did not."""
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def aq(self, node: str, *words: str, ok: Sequence[int] = (0,)) -> str:
        return self.run("aq", "--node", node, *words, ok=ok)

    def as_user(self, *words: str) -> list[str]:
        """The same as the test user, with nothing of our environment."""
        kept = [f"{n}={os.environ[n]}" for n in ("PATH", "SLURM_CONF")]
        who = ["setpriv", f"--reuid={TEST_USER}", f"--regid={TEST_USER}", "--init-groups"]
        return [*who, "env", "-i", f"--chdir={self.place}", *kept, *words]

    def cache(self, node: str) -> Path:
        return self.dir / "nodes" / node / "lib"

    def ask(self, path: Path, sql: str) -> list[str]:
        """The first column of a query."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
            return [str(row[0]) for row in db.execute(sql)]

    def rows(self, node: str) -> set[str]:
        return set(self.ask(self.cache(node) / "cache.db", "SELECT name FROM environments"))

    def refs(self, node: str) -> list[str]:
        return leases.ask(self.dir / "nodes" / node / "run", "env", "1")

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise BrokenError(f"waited in vain: {what}")
            time.sleep(0.05)

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
            return w.prefix.name.encode() in Path(f"/proc/{w.pid}/maps").read_bytes()
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

    def step(self) -> None:
        """A step of its own request in a job that runs."""
        jobs = [w for w in self.running(is_step=False) if w.pid and not w.may_fail]
        if not jobs:
            return self.submit()
        job = self.random.choice(jobs)
        _, words = self.begin_worker(job.node, job.job, is_step=True)
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
            self.jobs_of(w, are_gone=True)
            self.run("scancel", w.job)

    def requeue(self) -> None:
        """The same job again, from the start."""
        some = [w for w in self.running(is_step=False) if not w.may_fail]
        if not some:
            return
        w = self.random.choice(some)
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
            self.jobs_of(w, are_gone=False)
            # not those of a chroot that is tested meanwhile
            ours = ("--ns", str(os.getpid()), "--nslist", "mnt")
            self.run("pkill", "-KILL", *ours, "-f", rf"^slurmstepd: \[{w.job}\.", ok=(0, 1))

    def slurmd(self, node: str) -> int:
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if not words[0].endswith(b"slurmd") or words[1:3] != [b"-N", node.encode()]:
                    continue
                mark = f"AQ_CLUSTER={self.dir}".encode()
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    return int(path.name)
        raise BrokenError(f"{node} has no slurmd")

    def crash_slurmd(self) -> None:
        """Steps run on, and the next slurmd finds them."""
        node = self.random.choice(NODES)
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

    def collect_all(self, node: str, *words: str) -> None:
        """An epilog may have started one before us, which looked too early."""
        self.wait("a collection", lambda: bool(self.aq(node, "gc", "--json", *words)))

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

    def act(self) -> str:
        """One operation; its name."""
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
        do()
        return str(do.__name__)

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

    def limit(self, now: str, then: str) -> None:
        """Another line in aq.conf."""
        conf = self.dir / "etc" / "aq.conf"
        text = conf.read_text()
        if now not in text:
            raise BrokenError(f"aq.conf has no '{now}'")
        conf.write_text(text.replace(now, then))

    def left(self, node: str) -> list[str]:
        """What nobody asks for but workflows that ask for something else by now."""
        self.collect_all(node, "--reconcile")
        return self.ask(self.cache(node) / "cache.db", LEFT)

    def is_settled(self, node: str) -> bool:
        """Whether a collection leaves what is pinned, and bases, and what these need."""
        self.collect_all(node, "--reconcile")
        kept = self.model.pinned[node] | {self.model.base[node]}
        rows = self.rows(node)
        return rows == kept | (self.bases_of(node, kept) & rows)

    @contextmanager
    def explained(self, node: str) -> Iterator[None]:
        try:
            yield
        except BrokenError as e:
            raise BrokenError(f"{e}: {self.explain(node, self.rows(node))}") from e

    def bases_of(self, node: str, names: set[str]) -> set[str]:
        listed = json.loads(self.aq(node, "list", "--json"))["environments"]
        return {e["base"] for e in listed if e["name"] in names}

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

    def explain(self, node: str, names: set[str]) -> str:
        """Who may use what is left."""
        users = {n: self.users(n) for n in names}
        run = self.dir / "nodes" / node / "run"
        refs = leases.ask(run, "job || '.' || step || ' ' || env", "1")
        files = [p.name for p in (run / "leases").iterdir()]
        marks = [p.name for p in (run / "jobs").iterdir()]
        queue = self.run("squeue", "-h", "-o", "%A %T %r").splitlines()
        return f"used by {users}, references {refs}, leases {files}, marks {marks}, queue {queue}"

    def users(self, name: str) -> list[str]:
        """The commands of processes in an environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if name.encode() in (path / "maps").read_bytes():
                    found.append((path / "cmdline").read_text().replace("\0", " "))
        return found


def main() -> None:
    """Run it, and say what was done when it broke."""
    parser = argparse.ArgumentParser(prog="history.py")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    args = parser.parse_args()
    history = History(args.dir.resolve(), args.seed)
    did: list[str] = []
    try:
        for _ in range(args.count):
            did.append(history.act())
            history.look()
            history.check()
        did.append("end")
        history.end()
    except (BrokenError, subprocess.SubprocessError) as e:
        for node in list(history.collectors):
            history.collectors.pop(node).kill()
        sys.exit(f"seed {args.seed}, after {len(did)} operations ({' '.join(did[-12:])}): {e}")
    did_what = f"{args.count} operations, {history.n} programs, {history.collected} collected"
    print(f"seed {args.seed}: {did_what}")
    # it would be no test of collecting otherwise
    if history.collected < args.count // 20:
        sys.exit(f"only {history.collected} environments were collected")


if __name__ == "__main__":
    main()
