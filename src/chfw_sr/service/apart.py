"""Taking octets from anybody in, in threads that end before they cost memory.

lxml keeps every name that a thread has ever parsed for as long as the thread lives: in a thread that stays, documents
full of new names would fill the memory, a message at a time, without ever being accepted. So a thread takes in so many
octets and ends then. One for each batch would cost 300 µs each time, as much as two documents do.

A few documents are waited for where they are needed, and the event loop with them: it could do little meanwhile but
pass the interpreter's lock to and fro, which was measured to cost up to a fifth of a process's CPU, and at other times
nothing. Many are taken in in portions, so that the loop comes round between two of them; and one document that is large
by itself goes its own way.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

from chfw_sr.portions import portions
from chfw_sr.wire import Attributed, Intake, TrustStore, Unattributed

PORTION_OCTETS = 2**17
"""Octets that the event loop waits for: some 15 ms of CPU, ten times as many if they are hostile."""

THREAD_OCTETS = 2**20
"""Octets after which a thread is replaced; the worst ones leave about seven times as much in its memory until then."""


class Apart:
    """Takes documents in, in a thread of its own.

    Args:
        intake: takes them in.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._thread = ThreadPoolExecutor(1, "apart")
        self._octets = 0

    async def take(
        self, documents: Sequence[bytes], trust: TrustStore, now: datetime
    ) -> list[Attributed | Unattributed]:
        """Take documents in, as `Intake.take` does.

        Args:
            documents: as received.
            trust: the certificates that we trust.
            now: the time at which a certificate must hold; aware.

        Returns:
            What became of each, in their order.
        """
        taken: list[Attributed | Unattributed] = []
        for some in portions(documents, PORTION_OCTETS, len):
            octets = sum(map(len, some))
            if octets > PORTION_OCTETS:
                with _ending(ThreadPoolExecutor(1, "apart")) as thread:
                    taken += await asyncio.wrap_future(thread.submit(self._intake.take, some, trust, now))
            else:
                taken += self._thread_for(octets).submit(self._intake.take, some, trust, now).result()
                await asyncio.sleep(0)
        return taken

    def _thread_for(self, octets: int) -> ThreadPoolExecutor:
        """Give the thread for some octets, which nobody else is waiting for."""
        if self._octets >= THREAD_OCTETS:
            self._thread.shutdown(wait=False)
            self._thread, self._octets = ThreadPoolExecutor(1, "apart"), 0
        self._octets += octets
        return self._thread


@contextmanager
def _ending(thread: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """Let a thread end when it has done what it was given; whoever was to wait for that may be cancelled."""
    try:
        yield thread
    finally:
        thread.shutdown(wait=False)
