#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""automount.py REAL PLACE

Mount REAL at PLACE when somebody looks below it, as automount(8) does: see
Documentation/filesystems/autofs.rst in Linux.  Prints "ready"; ends with SIGTERM or
who started it, and then nothing is mounted there.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
import sys

PACKET = struct.Struct("=iiIIQIIIII256s4x")  # struct autofs_v5_packet
READY = 0x9360  # AUTOFS_IOC_READY
MS_BIND = 4096
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None) -> None:
    """Call mount(2)."""
    words = [None if w is None else w.encode() for w in (source, target, kind, data)]
    if libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) < 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {target}")


def main() -> None:
    """Serve it."""
    real, place = sys.argv[1:]
    os.setpgid(0, 0)  # whose members see what is below
    requests, said = os.pipe()
    options = f"fd={said},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    mount("aq-automount", place, "autofs", 0, options)
    os.close(said)
    top = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        print("ready", flush=True)
        while packet := os.read(requests, PACKET.size):
            mount(real, place, None, MS_BIND, None)
            fcntl.ioctl(top, READY, PACKET.unpack(packet)[2])
    finally:
        os.close(top)
        while libc.umount2(place.encode(), MNT_DETACH) == 0:
            pass


if __name__ == "__main__":
    main()
