"""What it was measured on."""

import mmap
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import chfw_sr

from .servers import Servers

MOST_USED_OCTETS = 8 * 2**30

LIBRARIES = ("aio-pika", "aiormq", "asyncpg", "cryptography", "lxml", "pamqp", "pydantic", "signxml", "sqlalchemy")


def describe(servers: Servers) -> dict[str, str]:
    """Give machine, versions and date."""
    private = servers.postgresql.private and servers.rabbitmq.private
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{os.cpu_count()} cores, {_line('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_line('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "load before": " ".join(f"{each:.2f}" for each in os.getloadavg()),
        "Python": f"{platform.python_version()}, {platform.python_compiler()}, built {platform.python_build()[1]}",
        "chfw_sr": chfw_sr.__version__,
        "PostgreSQL": servers.postgresql.version,
        "RabbitMQ": servers.rabbitmq.version,
        "servers": "private, on this machine" if private else "given; what others do on them is measured too",
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def use_memory() -> None:
    """Write to memory and give it back, so that no measurement is the first to have it.

    A virtual machine may get its memory only when it first writes to it, at several microseconds a page: the servers
    would pay that for what they keep, in some repetitions and not in others.
    """
    available = int(_line("/proc/meminfo", "MemAvailable").split()[0]) * 1024
    with mmap.mmap(-1, min(MOST_USED_OCTETS, available // 2)) as memory:
        for place in range(0, len(memory), mmap.PAGESIZE):
            memory[place] = 1


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
