# SPDX-License-Identifier: Apache-2.0
"""What a package's code tries while its environment is built: it lies in a wheel
or a package of tests/it/cage.bats, whose .pth file imports it.  Each attempt says
on standard error whether it went through; each harms a canary of the test's only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import socket
import sys
import time
from pathlib import Path

AT = json.loads(Path("@ATTACK@").read_text())  # what the test says
CACHE = Path(AT["cache"])
CANARY = Path(AT["canary"])


def write_outside() -> None:
    """A directory that everybody may write."""
    (CANARY / f"written-{os.getpid()}").write_text("x")


def read_other() -> None:
    """Another environment."""
    next((CACHE / "envs" / AT["other"]).rglob("*.json")).read_text()


def chmod_other() -> None:
    """A file of another environment, by its path or by a link in the package cache."""
    places = [CACHE / "envs" / AT["other"], CACHE / "pkgs"]
    for place in places:
        for path in place.rglob(AT["victim"]):
            path.chmod(0o4755)
            return
    raise FileNotFoundError(AT["victim"])


def write_cache() -> None:
    """The caches, which later builds link from."""
    for name in ("pkgs", "wheels", "stubs"):
        with contextlib.suppress(PermissionError):
            (CACHE / name / "aq-poison").write_text("x")
            return
    raise PermissionError(errno.EACCES, "caches")


def write_prefix() -> None:
    """Its own environment, after it was installed."""
    (Path(sys.prefix) / "aq-late").write_text("x")


def reach_network() -> None:
    """A service of the node's."""
    socket.create_connection(("127.0.0.1", AT["port"]), 2).close()


def reach_socket() -> None:
    """One that has no path."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + AT["abstract"])


def read_process() -> None:
    """The memory, or at least the environment, of others with the same account."""
    for entry in Path("/proc").glob("[0-9]*"):
        if entry.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            if b"AQ_SECRET=" in (entry / "environ").read_bytes():
                os.close(os.open(entry / "mem", os.O_RDWR))
                return
    raise ProcessLookupError(errno.ESRCH, "victim")


def signal_process() -> None:
    """One of them."""
    os.kill(AT["victim_pid"], 0)


def gain_rights() -> None:
    """What a set-id program would give: whether anything may."""
    if ctypes.CDLL(None).prctl(39, 0, 0, 0, 0):  # PR_GET_NO_NEW_PRIVS
        raise PermissionError(errno.EPERM, "no new privileges")


def have_capabilities() -> None:
    """What a program with file capabilities could get."""
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    if not int(status["CapBnd"], 16):
        raise PermissionError(errno.EPERM, "bounding set")


def dump_core() -> None:
    """A core file, wherever the node puts it."""
    import resource

    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise PermissionError(errno.EPERM, "core")


def fork_bomb() -> None:
    """More processes than any probe needs; they end with their parent."""
    read, write = os.pipe()
    for _ in range(600):
        if not os.fork():
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    os.close(write)


def leave_daemon() -> None:
    """A process in a session of its own, with the output kept open."""
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execv("/bin/sleep", ["aq-daemon-" + AT["name"], "120"])  # noqa: S606


def fill_disk() -> None:
    """A gigabyte and a half; what stops this ends the build."""
    directory = Path(os.environ["TMPDIR"])
    files = [directory / f"full-{i}" for i in range(8)]
    try:
        for path in files:
            with path.open("wb") as f:
                os.posix_fallocate(f.fileno(), 0, 200 << 20)
        time.sleep(5)
    finally:
        for path in files:
            path.unlink(missing_ok=True)


def attack() -> None:
    """All that the test asks for."""
    for name in AT["attacks"]:
        try:
            globals()[name]()
        except BaseException as e:  # whatever stops it
            verdict = f"stopped: {e!r}"
        else:
            verdict = "through"
        line = f"ATTACK {name} {verdict}\n"
        os.write(2, line.encode())
        # an installer keeps what an interpreter says to itself
        with contextlib.suppress(OSError), Path(sys.prefix, "aq-said").open("a") as f:
            f.write(line)


attack()
