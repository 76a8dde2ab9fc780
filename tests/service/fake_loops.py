"""What tests of the loops share."""

import asyncio

from chfw_sr.service.observer import Loop, Unobserved

PATIENCE_SECONDS = 20
"""No test waits this long; it bounds those that would hang."""


class Watcher(Unobserved):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.retries: list[str] = []
        self.rounds: list[Loop] = []
        self.waiting: list[Loop] = []

    def retried(self, what: str) -> None:
        self.retries.append(what)

    def came_round(self, loop: Loop) -> None:
        self.rounds.append(loop)

    def waits(self, loop: Loop) -> None:
        self.waiting.append(loop)


class Scripted:
    """Answers each call with the next thing of its script, raising what is an exception; then sets `stop`, if told to.

    The calls are kept in `calls`.
    """

    def __init__(self, *script, stop: asyncio.Event | None = None) -> None:
        self.script = list(script)
        self.calls: list = []
        self._stop = stop

    async def __call__(self, *arguments):
        self.calls.append(arguments)
        answer = self.script.pop(0)
        if not self.script and self._stop is not None:
            self._stop.set()
        if isinstance(answer, BaseException):
            raise answer
        return answer
