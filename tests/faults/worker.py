"""`chfw-sr run` that kills itself at a named point: the product as it is, with observed parts put in its place.

The points, in the order of a message's way:

    receive      a batch was taken from the queue, nothing was done with it
    decide       everything of a batch is decided and written, COMMIT is not sent
    commit       the batch is committed, and nothing else was done
    publish      half of the relay's claim was published and confirmed, the other half was not sent
    confirm      the whole claim was published and confirmed, nothing is marked
    mark         half of the claim is marked
    acknowledge  a batch is committed and the relay awake, the acknowledgement is not sent

`CHFW_SR_TEST_STRIKE=decide:3` means: the third time. `CHFW_SR_TEST_CLOCK=FILE` names a file with seconds that this
process's clock is wrong by; it is read again each time.
"""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chfw_sr.bootstrap import buses, parts, process, running
from chfw_sr.cli import main
from chfw_sr.storage import store
from chfw_sr.storage.outbox import SqlOutbox
from chfw_sr.storage.unit_of_work import SqlUnitOfWork

POINTS = ("receive", "decide", "commit", "publish", "confirm", "mark", "acknowledge")

_left: dict[str, int] = {}


def _is_due(point: str) -> bool:
    """Count; True the time that was asked for."""
    if point in _left:
        _left[point] -= 1
    return _left.get(point) == 0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingConsumer:
    async def receive(self, limit, wait_seconds):
        deliveries = await super().receive(limit, wait_seconds)
        if deliveries and _is_due("receive"):
            _die()
        return deliveries

    async def acknowledge(self, deliveries):
        if _is_due("acknowledge"):
            _die()
        await super().acknowledge(deliveries)


class DyingUnitOfWork(SqlUnitOfWork):
    """Only units that finish requests are counted: a heartbeat or a step of the clock is none."""

    finished = False

    async def finish(self, records):
        await super().finish(records)
        self.finished = self.finished or bool(records)

    async def commit(self):
        if self.finished and _is_due("decide"):
            _die()
        await super().commit()
        if self.finished and _is_due("commit"):
            _die()


class DyingPublisher:
    async def publish(self, messages):
        if messages and _is_due("publish"):
            await super().publish(messages[: (len(messages) + 1) // 2])
            _die()
        results = await super().publish(messages)
        if messages and _is_due("confirm"):
            _die()
        return results


class DyingOutbox(SqlOutbox):
    async def mark(self, token, messages, *how, **when):
        if messages and _is_due("mark"):
            await super().mark(token, messages[: (len(messages) + 1) // 2], *how, **when)
            _die()
        return await super().mark(token, messages, *how, **when)


class WrongClock:
    """A clock that is off by what a file says."""

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=float(Path(os.environ["CHFW_SR_TEST_CLOCK"]).read_text()))


def run(arguments: tuple[str, ...], settings: dict[str, str], folder: Path, log: Path) -> None:
    """Be `chfw-sr ARGUMENTS` from now on.

    Args:
        arguments: of the command line.
        settings: environment variables; of the surrounding ones none that is a setting is kept.
        folder: to run in.
        log: gets whatever is written.
    """
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.chdir(folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHFW_SR_")}
    os.environ.clear()
    os.environ.update(kept | settings)
    point, _, count = settings.get("CHFW_SR_TEST_STRIKE", "nowhere:0").partition(":")
    _left[point] = int(count)
    _put_in_place()
    sys.argv = ["chfw-sr", *arguments]
    main()


def _put_in_place() -> None:
    for client, (consumer, publisher) in buses.CLIENTS.items():
        buses.CLIENTS[client] = (
            type("DyingConsumer", (DyingConsumer, consumer), {}),
            type("DyingPublisher", (DyingPublisher, publisher), {}),
        )
    store.SqlUnitOfWork = DyingUnitOfWork
    store.SqlOutbox = DyingOutbox
    if "CHFW_SR_TEST_CLOCK" in os.environ:
        for module in (parts, process, running):
            module.SystemClock = WrongClock
