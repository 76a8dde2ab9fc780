"""Taking octets from anybody in, in a thread that ends with it.

lxml keeps every name that a thread has ever parsed for as long as the thread lives: in a thread of a pool, documents
full of new names would fill the memory, a message at a time, without ever being accepted. A thread costs some 100 µs.

A few documents are waited for where they are needed, and the event loop with them: it could do little meanwhile but
pass the interpreter's lock to and fro, which was measured to cost up to a fifth of a process's CPU, and at other times
nothing. Many are taken in in portions, so that the loop comes round between two of them; and one document that is large
by itself goes its own way.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from chfw_sr.portions import portions
from chfw_sr.wire import Attributed, Intake, TrustStore, Unattributed

PORTION_OCTETS = 2**17
"""Octets that the event loop waits for: some 15 ms of CPU, ten times as many if they are hostile."""


async def take_apart(
    intake: Intake, documents: Sequence[bytes], trust: TrustStore, now: datetime
) -> list[Attributed | Unattributed]:
    """Take documents in, as `Intake.take` does, in a thread of their own.

    Args:
        intake: takes them in.
        documents: as received.
        trust: the certificates that we trust.
        now: the time at which a certificate must hold; aware.

    Returns:
        What became of each, in their order.
    """
    pool = ThreadPoolExecutor(1, "apart")
    taken: list[Attributed | Unattributed] = []
    try:
        for some in portions(documents, PORTION_OCTETS, len):
            future = pool.submit(intake.take, some, trust, now)
            if sum(map(len, some)) > PORTION_OCTETS:
                large = await asyncio.wrap_future(future)
                taken += large
            else:
                taken += future.result()
                await asyncio.sleep(0)
    finally:
        pool.shutdown(wait=False)
    return taken
