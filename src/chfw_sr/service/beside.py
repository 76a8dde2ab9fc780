"""Rendering and signing: beside the event loop if there is much to do, else where it is needed.

What is done beside the loop need not be waited for: the store can be told meanwhile of what was decided.

To hand a little work to a thread and back takes some 0.2 ms, and both wait for the interpreter's lock meanwhile; the
loop could do little else. While a thread signs much, the loop comes round.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sized
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

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


class Meanwhile:
    """What goes on while something else is done, one thing after the other.

    Left before it is over, because something failed, it is given up: when the `async with` ends, nothing goes on.

    Args:
        doing: what goes on at first.
    """

    def __init__(self, doing: Coroutine[Any, Any, None]) -> None:
        self._doing = asyncio.create_task(doing)

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self._doing.done()

    async def over(self) -> None:
        """Wait until it is over; raise what stopped it."""
        await self._doing

    async def then(self, doing: Coroutine[Any, Any, None]) -> None:
        """Let something else go on, once this is over; raise what stopped this."""
        try:
            await self._doing
        except BaseException:
            doing.close()
            raise
        self._doing = asyncio.create_task(doing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._doing.cancel()
        await asyncio.gather(self._doing, return_exceptions=True)
