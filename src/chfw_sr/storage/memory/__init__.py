"""A store in memory: an independent twin of the SQL store, written from the ports alone.

It passes the very contract suite that the SQL store passes, atomicity and racing writers included. It is plain Python
over dicts, for tests and for replays that leave nothing behind; nothing survives the process.
"""

from .store import MemoryStore

__all__ = ["MemoryStore"]
