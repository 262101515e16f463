#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a user without rights tries on a node.

    attack_user.py files TREE ENV UID   TREE: a node's lib, run and run-public;
                                        ENV: an environment there; UID: another user
    attack_user.py processes PID...     of a waiting task, its watcher, and a build
    attack_user.py control PROGRAM...   the same on a child of one's own

Each attempt says on standard output whether it went through.  The control of the
first is a copy of TREE that is the attacker's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_OPEN, PIDFD_GETFD = 434, 438
PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def checked(result: int) -> int:
    """Raise what the call failed with."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# -- files --


def first(place: Path) -> Path:
    """Something that is there."""
    return min(place.iterdir())


def make(path: Path) -> None:
    """Make it: who can has forged it."""
    path.write_text("forged\n")
    path.unlink()


def lock(path: Path) -> None:
    """Hold its lock, as whoever can read it can."""
    with path.open("rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)


def swap_for_link(path: Path) -> None:
    """Exchange it for a link elsewhere, and back."""
    aside = path.with_name(path.name + ".aside")
    path.rename(aside)
    path.symlink_to("/tmp")  # noqa: S108
    path.unlink()
    aside.rename(path)


def change_database(path: Path) -> None:
    """Say that another environment is meant."""
    with sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=0) as db:
        db.execute("UPDATE environments SET created = created + 1")


def block_database(path: Path) -> None:
    """Keep root from committing, by a read lock."""
    with path.open("rb") as f:
        fcntl.lockf(f, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 0x40000000)


def write(path: Path) -> None:
    """Change what it holds."""
    with path.open("ab") as f:
        f.write(b"x")


def truncate(path: Path) -> None:
    """Empty it, and fill it again."""
    text = path.read_bytes()
    with path.open("r+b") as f:
        f.truncate()
        f.write(text)


def link_out(path: Path) -> None:
    """Keep it, whoever removes it."""
    out = Path(os.environ["IT_SUBMIT"], "aq-kept")  # on the same file system
    os.link(path, out)
    out.unlink()


def set_access(path: Path) -> None:
    """Give it an attribute."""
    os.setxattr(path, "user.aq", b"x")
    os.removexattr(path, "user.aq")


def files(tree: Path, env: str, other: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each attempt by its name."""
    lib, run, public = tree / "lib", tree / "run", tree / "run-public"
    prefix = lib / "envs" / env
    file = prefix / "share" / "aq-victim"
    db = lib / "cache.db"
    yield "list_run_dir", lambda: list(run.iterdir())
    yield "read_database", lambda: db.open("rb").close()
    yield "change_database", lambda: change_database(db)
    yield "block_database", lambda: block_database(db)
    yield "read_references", lambda: (run / "refs.db").open("rb").close()
    yield "hold_guard_of_database", lambda: lock(lib / "cache.db.lock")
    yield "hold_build_lock", lambda: lock(first(run / "locks"))
    yield "forge_build_lock", lambda: make(run / "locks" / f"key-{'0' * 64}")
    yield "read_lease", lambda: first(run / "leases").open("rb").close()
    yield "end_lease", lambda: first(run / "leases").open("r+b").close()
    yield "hold_lease", lambda: lock(first(run / "leases"))
    yield "forge_lease", lambda: make(run / "leases" / "9.0.4294967295.n1")
    yield "forge_job", lambda: make(run / "jobs" / "9.n1")
    yield "forge_answer", lambda: write(first(run / "hits"))
    yield "forge_ticket", lambda: make(run / "queue" / "1-0-x-b")
    yield "forge_turns", lambda: write(run / "queue" / "served")
    yield "forge_progress", lambda: make(public / "0123456789abcdef")
    yield "forge_index", lambda: swap_for_link(public / "index")
    yield "write_index", lambda: write(public / "index")
    yield "read_workflows_of_another", lambda: (public / "workflows" / other).open("rb").close()
    yield "forge_workflows", lambda: make(public / "workflows" / "0")
    yield "write_environment", lambda: make(prefix / "lib-evil.pth")
    yield "write_file", lambda: write(file)
    yield "truncate_file", lambda: truncate(file)
    yield "change_mode", lambda: file.chmod(0o644)
    yield "change_times", lambda: os.utime(file, (1, 1))
    yield "change_owner", lambda: os.chown(file, os.getuid(), os.getgid())
    yield "set_attribute", lambda: set_access(file)
    yield "link_file_out", lambda: link_out(file)
    yield "remove_file", file.unlink
    yield "swap_environment", lambda: swap_for_link(prefix)
    yield "plant_environment", lambda: (lib / "envs" / f"{'a' * 20}-1").mkdir()
    yield "read_manifest", lambda: list((lib / "meta" / env).iterdir())
    yield "forge_manifest", lambda: write(first(lib / "meta" / env))
    yield "read_work", lambda: list((lib / "work").iterdir())
    yield "poison_packages", lambda: make(lib / "work" / "pkgs" / "aq-poison")
    yield "poison_wheels", lambda: make(lib / "work" / "wheels" / "aq-poison")
    yield "write_scratch_of_builds", lambda: make(lib / "work" / "probe" / "aq-evil")
    yield "swap_work", lambda: swap_for_link(lib / "work")
    yield "swap_cache", lambda: swap_for_link(lib)
    yield "plant_trash", lambda: make(lib / "trash" / "x")
    yield "swap_trash", lambda: swap_for_link(lib / "trash")
    yield "forge_log", lambda: make(lib / "logs" / "0123456789abcdef.log")
    yield "swap_log", lambda: swap_for_link(first(lib / "logs"))
    yield "read_credentials", lambda: (tree / "aq.credentials").open("rb").close()
    yield "change_configuration", lambda: write(tree / "aq.conf")


# -- processes --


def attach(pid: int) -> None:
    """Stop it as a debugger does."""
    LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    LIBC.ptrace.restype = ctypes.c_long
    checked(LIBC.ptrace(PTRACE_ATTACH, pid, None, None))
    os.waitpid(pid, 0)
    LIBC.ptrace(PTRACE_DETACH, pid, None, None)


def take_descriptor(pid: int) -> None:
    """Have what it holds open."""
    fd = checked(LIBC.syscall(PIDFD_OPEN, pid, 0))
    os.close(checked(LIBC.syscall(PIDFD_GETFD, fd, 0, 0)))


def write_memory(pid: int) -> None:
    """Change what it thinks."""
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))


def enter(pid: int) -> None:
    """See what it sees: its namespaces' files are there for who may."""
    os.close(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY))


def reopen(pid: int) -> None:
    """Open its files anew, whatever their modes are where they lie."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        # it may close one meanwhile
        with contextlib.suppress(FileNotFoundError):
            entry.stat()


def limit(pid: int) -> None:
    """Take its limits away."""
    resource.prlimit(pid, resource.RLIMIT_CORE)


def processes(pid: int, is_own: bool) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each attempt; of one's own task some are no attacks."""
    yield "attach", lambda: attach(pid)
    yield "take_descriptor", lambda: take_descriptor(pid)
    yield "write_memory", lambda: write_memory(pid)
    yield "read_environment", lambda: Path(f"/proc/{pid}/environ").read_bytes()
    yield "list_descriptors", lambda: list(Path(f"/proc/{pid}/fd").iterdir())
    yield "reopen_files", lambda: reopen(pid)
    yield "enter_namespace", lambda: enter(pid)
    yield "go_to_root", lambda: list(Path(f"/proc/{pid}/root/").iterdir())
    if is_own:
        return
    yield "set_limits", lambda: limit(pid)
    yield "make_nice", lambda: os.setpriority(os.PRIO_PROCESS, pid, 10)
    yield "stop", lambda: os.kill(pid, signal.SIGCONT)
    yield "kill", lambda: os.kill(pid, signal.SIGKILL)


def attempt(name: str, fn: Callable[[], object]) -> None:
    """Try it, and say what became of it."""
    try:
        fn()
    except (OSError, sqlite3.Error) as e:
        print("ATTACK", name, f"stopped: {e!r}", flush=True)
    else:
        print("ATTACK", name, "through", flush=True)


def main() -> None:
    """Try all."""
    what, *args = sys.argv[1:]
    if what == "files":
        for name, fn in files(Path(args[0]), *args[1:]):
            attempt(name, fn)
    elif what == "processes":
        for arg in args:
            role, _, pid = arg.partition("=")
            for name, fn in processes(int(pid), role in ("task", "watcher")):
                attempt(f"{role}:{name}", fn)
    else:
        victim = subprocess.Popen(args, stdin=subprocess.PIPE)
        for name, fn in processes(victim.pid, is_own=False):
            attempt(name, fn)
        victim.wait()


if __name__ == "__main__":
    main()
