"""Replay: files through the very same path as a broker's messages, with a clock that can be run.

Every message that the relay publishes is also written to a folder:

    alerts/<recipient EUI>/<n>-<code>.xml
    responses/<originator EUI>/<n>-<code>.xml
    replies/<reply_to>/<n>-<code>.xml
    quarantine/<n>-<code>.xml, and beside it <n>-<code>.json with the reason

where <n> counts from 0001 in each folder.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from chfw_sr.messages import CampaignID

from .clockwork import Clockwork
from .outcome import Outcome
from .ports import HEADER_CODE, Consumer, MessageKind, OutboxMessage, Publisher, PublishResult, Store
from .processor import Processor
from .relay import Relay
from .scenario import Scenario, Step

RECEIVE_SECONDS = 0.0
"""How long a batch waits for a second message: not at all, one file is one message."""


class ManualClock:
    """A clock that stands until it is set; it never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Give the instant that was set last."""
        return self._now

    def set(self, instant: datetime) -> None:
        """Move on to an instant; an earlier one is ignored."""
        self._now = max(self._now, instant)


class Sender(Protocol):
    """The sender's side of a bus."""

    async def send(
        self,
        octets: bytes,
        *,
        routing_key: str,
        reply_to: str | None = None,
        correlation_id: str | None = None,
        source: str | None = None,
    ) -> None:
        """Put a Service Request into the request queue."""
        ...

    def declare_queue(self, name: str) -> None:
        """Make a queue for answers."""
        ...


class Recorder:
    """A publisher that also writes what was confirmed to a folder, and counts the alerts.

    Args:
        publisher: to which everything is passed on.
        folder: must be empty or absent.
    """

    def __init__(self, publisher: Publisher, folder: Path) -> None:
        self._publisher = publisher
        self._folder = folder
        self._numbers: Counter[Path] = Counter()
        self.alerts: Counter[tuple[str, str]] = Counter()
        """Alerts since the last `clear`, by recipient and code."""
        self.written = 0

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Publish, then write what was confirmed."""
        results = await self._publisher.publish(messages)
        for message, result in zip(messages, results, strict=True):
            if result is PublishResult.CONFIRMED:
                self._write(message)
        return results

    def _write(self, message: OutboxMessage) -> None:
        if message.kind is MessageKind.ALERT:
            self.alerts[message.recipient, message.type] += 1
        folder = folder_of(self._folder, message)
        folder.mkdir(parents=True, exist_ok=True)
        self._numbers[folder] += 1
        path = folder / f"{self._numbers[folder]:04}-{code_of(message)}.xml"
        path.write_bytes(message.octets)
        if message.kind is MessageKind.QUARANTINE:
            path.with_suffix(".json").write_bytes(headers_of(message))
        self.written += 1


def folder_of(root: Path, message: OutboxMessage) -> Path:
    """Give the folder in which a message is written down."""
    match message.kind:
        case MessageKind.ALERT:
            return root / "alerts" / message.recipient
        case MessageKind.RESPONSE:
            return root / "responses" / message.recipient
        case MessageKind.REPLY:
            return root / "replies" / _file_name(message.recipient)
        case MessageKind.QUARANTINE:
            return root / "quarantine"
        case MessageKind.EMAIL:
            return root / "emails" / message.recipient


def code_of(message: OutboxMessage) -> str:
    """Give the code that stands in the name of a message's file: of an alert its own, else the response code."""
    return message.headers.get(HEADER_CODE, message.type)


def headers_of(message: OutboxMessage) -> bytes:
    """Write the headers of a quarantined message as JSON, to lie beside it."""
    return json.dumps(dict(message.headers), indent=2).encode() + b"\n"


def _file_name(text: str) -> str:
    """Make a queue's name safe as the name of a folder."""
    return quote(text, safe="").replace(".", "%2E") if set(text) <= {"."} else quote(text, safe="")


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of one step.

    Attributes:
        number: from 1.
        outcomes: one for the file that arrived; none where only the clock ran.
        alerts: all alerts since the step before, by recipient and code.
        unmet: expectations that were not met, as sentences.
    """

    number: int
    step: Step
    at: datetime
    outcomes: tuple[Outcome, ...]
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    unmet: tuple[str, ...] = ()


@dataclass(slots=True)
class Replay:
    """The service's parts on one bus, driven step by step.

    Attributes:
        store: the database.
        sender: where files go in.
        consumer: where the processor takes them from.
        recorder: the publisher that the relay uses.
        clock: the clock of all parts, if it is to be run; None where the machine's clock rules.
    """

    store: Store
    sender: Sender
    consumer: Consumer
    processor: Processor
    relay: Relay
    clockwork: Clockwork
    recorder: Recorder
    clock: ManualClock | None = None

    async def file(self, path: Path, *, reply_to: str | None = None, correlation_id: str | None = None) -> Outcome:
        """Send one file in and see it through, up to the confirms of everything that it caused."""
        octets = await asyncio.to_thread(path.read_bytes)
        return await self.octets(octets, source=str(path), reply_to=reply_to, correlation_id=correlation_id)

    async def octets(
        self, octets: bytes, *, source: str, reply_to: str | None = None, correlation_id: str | None = None
    ) -> Outcome:
        """Send one document in and see it through.

        Args:
            octets: the document.
            source: where it came from, for people.
            reply_to: a queue to which the answer also goes; it is made if need be.
            correlation_id: to be returned with the answer.
        """
        if reply_to:
            self.sender.declare_queue(reply_to)
        await self.sender.send(octets, routing_key="", reply_to=reply_to, correlation_id=correlation_id, source=source)
        deliveries = await self.consumer.receive(1, RECEIVE_SECONDS)
        (outcome,) = await self.processor.process(deliveries)
        await self.consumer.acknowledge(deliveries)
        await self.relay.drain()
        return outcome

    async def run_clock(self, until: datetime) -> None:
        """Let the clock run: each clock-driven step happens at the instant at which it is due."""
        assert self.clock is not None
        while (due := await self.store.next_due()) is not None and due <= until:
            self.clock.set(due)
            if not await self.clockwork.tick():
                raise RuntimeError(f"a step is due at {due.isoformat()}, but none was taken")
            await self.relay.drain()
        self.clock.set(until)

    async def scenario(self, scenario: Scenario, folder: Path) -> AsyncIterator[StepResult]:
        """Play a scenario, step by step.

        Args:
            scenario: what to play.
            folder: which its files are relative to.

        Yields:
            What came of each step; the last one's `unmet` also tells of expectations of the end.
        """
        assert self.clock is not None
        for number, step in enumerate(scenario.step, 1):
            self.recorder.alerts.clear()
            if step.at is not None:
                await self.run_clock(step.at)
            outcomes: tuple[Outcome, ...] = ()
            if step.file is not None:
                outcomes = (
                    await self.file(folder / step.file, reply_to=step.reply_to, correlation_id=step.correlation_id),
                )
            alerts = Counter(self.recorder.alerts)
            unmet = _unmet(step, outcomes, alerts, scenario)
            if number == len(scenario.step):
                unmet += await self._unmet_in_the_end(scenario)
            yield StepResult(number, step, self.clock.now(), outcomes, alerts, unmet)

    async def _unmet_in_the_end(self, scenario: Scenario) -> tuple[str, ...]:
        unmet = []
        for name, stage in scenario.expect.campaigns.items():
            view = await self.store.queries.campaign(CampaignID(name))
            found = view.campaign.stage if view else "no such campaign"
            if found != stage:
                unmet.append(f"campaign {name}: expected {stage}, found {found}")
        return tuple(unmet)


def _unmet(
    step: Step, outcomes: Sequence[Outcome], alerts: Counter[tuple[str, str]], scenario: Scenario
) -> tuple[str, ...]:
    unmet = []
    ending = next((outcome.ending for outcome in outcomes), None)
    code = next((outcome.code for outcome in outcomes), None)
    if step.expect.ending is not None and ending != step.expect.ending:
        unmet.append(f"ending: expected {step.expect.ending}, found {ending}")
    if step.expect.code is not None and code != step.expect.code:
        unmet.append(f"code: expected {step.expect.code}, found {code}")
    if step.expect.alerts is not None:
        expected: Counter[tuple[str, str]] = Counter()
        for key, count in step.expect.alerts.items():
            name, _, alert_code = key.partition(" ")
            expected[scenario.names.get(name, name), alert_code] += count
        for recipient, alert_code in sorted(expected.keys() | alerts.keys()):
            wanted, found = expected[recipient, alert_code], alerts[recipient, alert_code]
            if wanted != found:
                unmet.append(f"alerts: expected {wanted} {alert_code} to {scenario.name_of(recipient)}, found {found}")
    return tuple(unmet)
