"""Rendering and signing: beside the event loop if there is much to do, else where it is needed.

To hand a little work to a thread and back takes some 0.2 ms, and both wait for the interpreter's lock meanwhile; the
loop could do little else. While a thread signs much, the loop comes round.
"""

import asyncio
from collections.abc import Callable, Sized
from typing import Concatenate, ParamSpec, TypeVar

MUCH = 128
"""Messages from which it is done in a thread: some 5 ms of CPU."""

Messages = TypeVar("Messages", bound=Sized)
Others = ParamSpec("Others")
Result = TypeVar("Result")


async def beside(
    work: Callable[Concatenate[Messages, Others], Result],
    messages: Messages,
    *others: Others.args,
    **options: Others.kwargs,
) -> Result:
    """Do something with messages, in a thread if there are many.

    Args:
        work: what to do; knows nothing of the event loop.
        messages: its first argument.
        others: its others.
        options: those by name.
    """
    if len(messages) < MUCH:
        return work(messages, *others, **options)
    return await asyncio.to_thread(work, messages, *others, **options)
