# SPDX-License-Identifier: Apache-2.0
"""The bare client: solve and install with py-rattler, and nothing around it.

usage: bare_client.py PREFIX CHANNEL CACHE SPEC...
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from rattler import Channel, Gateway, VirtualPackage, install, solve


async def create(prefix: str, channel: str, cache: str, specs: list[str]) -> None:
    """Make prefix hold what specs ask for."""
    records = await solve(
        sources=[Channel(channel)],
        specs=specs,
        platforms=["linux-64", "noarch"],
        virtual_packages=VirtualPackage.detect(),
        gateway=Gateway(),
    )
    await install(records, target_prefix=prefix, cache_dir=Path(cache), show_progress=False)


if __name__ == "__main__":
    prefix, channel, cache, *specs = sys.argv[1:]
    asyncio.run(create(prefix, channel, cache, specs))
    # py-rattler's threads may abort the interpreter while it finalises
    os._exit(0)
