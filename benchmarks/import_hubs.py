"""What an import of an inventory costs: the command itself, twice, the second time with nothing to change.

    chfw-sr simulate prepare nation --hubs 1000000
    python -m benchmarks.import_hubs nation/inventory.csv --database postgresql+asyncpg://USER@HOST/NAME --server PID

The database is empty and migrated, the server PostgreSQL's topmost process on this machine. Its CPU is that of all its
processes, of whatever else it does meanwhile too.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

from .cpu import seconds


def main() -> None:
    """Import, and print wall and CPU time a hub and the client's memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--server", type=int, required=True, metavar="PID")
    given = parser.parse_args()
    with open(given.file, "rb") as lines:  # noqa: PTH123 - one pass over lines, nothing else
        hubs = sum(1 for _ in lines) - 1
    for name in ("first", "again"):
        print(f"{name}: {measured(given.file, given.database, given.server, hubs)}", flush=True)


def measured(file: str, database: str, server: int, hubs: int) -> str:
    """Import once and tell what it cost.

    Args:
        file: the inventory.
        database: its URL.
        server: the process id of PostgreSQL.
        hubs: how many the file holds.

    Raises:
        CalledProcessError: if the import failed.
    """
    before, used, began = resource.getrusage(resource.RUSAGE_CHILDREN), seconds([server]), time.perf_counter()
    command = [sys.executable, "-m", "chfw_sr", "inventory", "import", file]
    subprocess.run(command, check=True, env=os.environ | {"CHFW_SR_DATABASE_URL": database})
    wall, served = time.perf_counter() - began, seconds([server]) - used
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    each = 1e6 / hubs
    return (
        f"{wall:.1f} s, {hubs / wall:,.0f} hubs/s; "
        f"CPU µs a hub: client {client * each:.1f}, server {served * each:.1f}; "
        f"client's memory at most {after.ru_maxrss // 1024} MiB"
    )


if __name__ == "__main__":
    main()
