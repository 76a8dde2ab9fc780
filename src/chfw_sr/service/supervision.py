"""Keeps the loops of a process running together, and ends them together.

A loop ends by itself only when it is told to stop. One that dies takes the process down with it: a supervisor outside
starts it anew, and nobody has to find out that half of it is gone. To stop means to drain, in two steps within one
period of grace: first what makes messages, then what sends them out. What is cut short comes again.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping

logger = logging.getLogger(__name__)

CANCEL_SECONDS = 1.0
"""How long loops that were cancelled may take to end."""


class LoopDied(Exception):  # noqa: N818 - it names what happened
    """A loop met a defect of ours."""


class GraceExpired(Exception):  # noqa: N818 - it names what happened
    """The loops did not drain in time; what they had in hand comes again."""


async def supervise(
    makers: Mapping[str, Coroutine[None, None, None]],
    senders: Mapping[str, Coroutine[None, None, None]],
    *,
    stop: asyncio.Event,
    stop_senders: asyncio.Event,
    grace_seconds: float,
) -> None:
    """Run loops until `stop` is set, then let them drain.

    Args:
        makers: loops that make messages; `stop` is what tells them to end.
        senders: loops that send messages out; told to end by `stop_senders`, once all makers have ended.
        stop: set from outside.
        stop_senders: set here.
        grace_seconds: how long draining may take.

    Raises:
        LoopDied: if a loop raises, or ends before it is told to; the others are cancelled then.
        GraceExpired: if the loops took too long; they are cancelled then.
    """
    making = [asyncio.create_task(loop, name=name) for name, loop in makers.items()]
    sending = [asyncio.create_task(loop, name=name) for name, loop in senders.items()]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({*making, *sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        _expect_alive((*making, *sending), stopping=stop.is_set())
        try:
            async with asyncio.timeout(grace_seconds):
                await _end(making)
                stop_senders.set()
                await _end(sending)
        except TimeoutError:
            late = ", ".join(task.get_name() for task in (*making, *sending) if not task.done())
            raise GraceExpired(f"{grace_seconds:g} s were not enough to drain; still at work: {late}") from None
    finally:
        await _cancel((*making, *sending, stopping))


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    waited = set(tasks)
    if waited:
        await asyncio.wait(waited, return_when=asyncio.FIRST_EXCEPTION)
        _expect_alive(waited, stopping=True)


def _expect_alive(tasks: Iterable[asyncio.Task[None]], *, stopping: bool) -> None:
    for task in tasks:
        if not task.done():
            continue
        if error := task.exception():
            logger.critical("the loop %s died of a defect", task.get_name(), exc_info=error)
            raise LoopDied(f"the loop {task.get_name()} died: {type(error).__name__}: {error}") from error
        if not stopping:
            raise LoopDied(f"the loop {task.get_name()} ended without being told to")


async def _cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=CANCEL_SECONDS)
