"""Threads that are left behind before what libxml2 remembers of foreign documents costs memory.

libxml2 keeps each name and many a short text of every document that a thread parses, to share them with the next one,
and lxml keeps that dictionary as long as the thread lives. Documents that we expect have a few hundred names; whoever
makes up new ones, a hundred thousand a message and unsigned, would fill the memory in an hour. So a thread takes so
many octets of documents in, and then leaves that to a thread of its own, which it replaces whenever that has taken as
many: with the thread, the dictionary ends.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

THREAD_OCTETS: Final = 8 * 1024 * 1024
"""Octets of documents that a thread parses; the worst ones leave about seven times as much in its dictionary."""


class Renewal(threading.local):
    """What each thread that takes documents in knows of itself and of its successor.

    Args:
        thread_octets: how many octets of documents a thread parses.
    """

    def __init__(self, thread_octets: int = THREAD_OCTETS) -> None:
        self._thread_octets = thread_octets
        self._parsed = 0
        self._successor: ThreadPoolExecutor | None = None

    def run(self, octets: int, work: Callable[[], T]) -> T:
        """Do some work here, or in the successor once this thread has parsed its share, and wait for it.

        Args:
            octets: of the documents that the work will parse.
            work: what to do; what it gives or raises is given or raised.
        """
        renew = self._parsed >= self._thread_octets
        self._parsed = octets if renew else self._parsed + octets
        if renew:
            if self._successor is not None:
                self._successor.shutdown(wait=False)
            self._successor = ThreadPoolExecutor(1, "intake")
        return work() if self._successor is None else self._successor.submit(work).result()
