"""The processes of the service: started, killed and started anew, each by its own id.

They are forked from a server that has imported everything and done nothing else (`multiprocessing`, "forkserver"):
starting one costs a tenth of what a new interpreter would.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import worker

TERM_SECONDS = 45.0


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([worker.__name__])


class Child:
    """A process that can be awaited."""

    def __init__(self, arguments: tuple[str, ...], settings: Mapping[str, str], folder: Path, log: Path) -> None:
        self._process = _FORKS.Process(target=worker.run, args=(arguments, dict(settings), folder, log), daemon=True)
        self._process.start()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._process.sentinel, self._end)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._ended.done()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait for the end; give the exit code."""
        return await asyncio.shield(self._ended)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        self._ended.set_result(self._process.exitcode)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended that nobody had killed or told to end."""

    name: str
    code: int
    log: str


@dataclass
class Member:
    """One process of the service, by one name however often it is started anew.

    Attributes:
        arguments: of `chfw-sr run`.
        environment: settings that differ from the fleet's.
    """

    name: str
    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: Child | None = None
    log_begins: int = 0

    @property
    def ready(self) -> bool:
        """Whether the process has begun to work since it was started last."""
        return self.says("connected for probe")

    def says(self, text: str) -> bool:
        """Tell whether the process has logged something since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self.log_begins)
            return text.encode() in log.read()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.running


class Fleet:
    """Starts processes and sees to it that none is left over.

    Args:
        folder: where they run and write their logs.
        settings: of all of them, as environment.
        may_fail_to_start: whether a server may be down when a process starts; it is started again then.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], *, may_fail_to_start: bool = False) -> None:
        self._folder = folder
        self._settings = settings
        self._may_fail = may_fail_to_start
        self._members: list[Member] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._expected: set[int] = set()
        self._retiring = asyncio.Event()
        self.exits: list[Exit] = []
        self.kills = 0
        self.starts = 0

    async def start(self, name: str, *arguments: str, strike: str | None = None, **settings: str) -> Member:
        """Start a process.

        Args:
            name: for its log.
            arguments: of `chfw-sr run`.
            strike: where it is to kill itself.
            settings: that differ from the fleet's.
        """
        environment = dict(settings)
        if strike:
            environment["CHFW_SR_TEST_STRIKE"] = strike
        member = Member(name, arguments, self._folder / f"{name}.log", environment)
        self._members.append(member)
        await self.restart(member)
        return member

    async def restart(self, member: Member, **settings: str) -> None:
        """Start a process that has ended anew, with other settings perhaps."""
        assert not member.running
        environment = {"CHFW_SR_METRICS_PORT": "0"} | self._settings | member.environment | settings
        member.log.touch()
        member.log_begins = member.log.stat().st_size
        member.process = Child(("run", *member.arguments), environment, self._folder, member.log)
        self.starts += 1

    def keep(self, member: Member) -> None:
        """Start a process anew whenever it ends, as a supervisor does."""
        self._keepers.append(asyncio.create_task(self._keep(member)))

    async def _keep(self, member: Member) -> None:
        # Never cancelled, so that no process is left over that was just being started.
        while not self._retiring.is_set():
            ending = asyncio.create_task(self.ended(member))
            retiring = asyncio.create_task(self._retiring.wait())
            await asyncio.wait({ending, retiring}, return_when=asyncio.FIRST_COMPLETED)
            for task in (ending, retiring):
                task.cancel()
            await asyncio.gather(ending, retiring, return_exceptions=True)
            if not member.running and not self._retiring.is_set():
                await self.restart(member)

    async def ended(self, member: Member) -> int:
        """Wait for the end of a process; give its exit code."""
        assert member.process is not None
        process = member.process
        code = await process.wait()
        expected = code == -signal.SIGKILL or process.pid in self._expected
        unavailable = code == 3 and self._may_fail
        if code == -signal.SIGKILL:
            self.kills += 1
        elif not expected and not unavailable:
            self.exits.append(Exit(member.name, code, member.log.read_text(errors="replace")[-3000:]))
        return code

    def kill(self, member: Member) -> None:
        """Kill a process, if it runs."""
        if member.process is not None:
            member.process.send(signal.SIGKILL)

    async def terminate(self, member: Member) -> int:
        """Tell a process to end; give its exit code."""
        assert member.process is not None
        self._expected.add(member.process.pid)
        member.process.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(TERM_SECONDS):
                code = await member.process.wait()
        except TimeoutError:
            self.kill(member)
            code = await member.process.wait()
        if code not in (
            0,
            -signal.SIGTERM,
        ):  # one that had not begun to listen yet dies of the signal, with nothing in hand
            self.exits.append(Exit(member.name, code, member.log.read_text(errors="replace")[-3000:]))
        return code

    async def stop_keeping(self) -> None:
        """Let processes that end stay so."""
        self._retiring.set()
        await asyncio.gather(*self._keepers)
        self._keepers.clear()
        self._retiring.clear()

    async def retire(self) -> None:
        """Tell every process to end, and wait."""
        await self.stop_keeping()
        await asyncio.gather(*(self.terminate(member) for member in self._members if member.running))

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator["Fleet"]:
        try:
            yield self
        finally:
            await self.stop_keeping()
            for member in self._members:
                self.kill(member)
            await asyncio.gather(*(member.process.wait() for member in self._members if member.process))
