"""The publisher: many messages in one write, confirms in bulk. The rules stand in `rabbitmq` and `pipeline`."""

import asyncio
import logging
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Self

from pamqp import commands

from chfw_sr.broker.names import is_reserved
from chfw_sr.broker.publishing import EXCHANGES, ConfirmingPublisher, Outlet, routing_key
from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult, Unavailable

from .connection import Channel, LeanConnection, LeanLink
from .frames import ACK, NACK, RETURN, BrokenFrame, content_frames, properties, publish_frame, settled

if TYPE_CHECKING:
    from chfw_sr.broker.connection import Server
    from chfw_sr.broker.pipeline import Caution, Pipeline

logger = logging.getLogger(__name__)

BURST_OCTETS = 2**18
"""Octets that are put together for one write."""


class _Outgoing(Channel):
    """A channel with confirms.

    Attributes:
        run: the call under way.
    """

    def __init__(self, connection: LeanConnection, number: int) -> None:
        super().__init__(connection, number)
        self.run: _Run | None = None
        self._tag = 0
        self._unconfirmed: dict[int, tuple[int, OutboxMessage, float]] = {}
        self._returned: set[int] = set()

    async def open(self) -> None:
        """Open the channel and ask for confirms."""
        await self.ask(commands.Channel.Open(), commands.Channel.OpenOk)
        await self.ask(commands.Confirm.Select(), commands.Confirm.SelectOk)

    def leave(self, index: int, message: OutboxMessage, now: float) -> bytes:
        """Give a message's frames, and count it as sent.

        Raises:
            ValueError, TypeError: if it does not fit into AMQP; then it is not counted.
        """
        octets = _head(self.number, message.kind, message.recipient, message.type) + content_frames(
            self.number,
            message.octets,
            message.message_id,
            message.type,
            int(message.created_at.timestamp()),
            message.correlation_id,
            message.headers,
            self.connection.most_octets,
        )
        self._tag += 1
        self._unconfirmed[self._tag] = (index, message, now)
        return octets

    @property
    def oldest(self) -> float | None:
        """When the oldest message left that has no answer yet, by the loop's clock."""
        return next((left for _, _, left in self._unconfirmed.values()), None)

    def method(self, payload: bytes) -> None:
        """Take a confirm, a refusal, or the beginning of a returned message."""
        kind = payload[:4]
        if kind == ACK:
            self._settle(payload, PublishResult.CONFIRMED)
        elif kind == NACK:
            self._settle(payload, PublishResult.FAILED)
        elif kind == RETURN:
            self.expect_content(payload)
        else:
            super().method(payload)

    def content(self, method: bytes, content_header: bytes, body: bytes) -> None:  # noqa: ARG002 - known already
        """Take a message that found no queue; its confirm follows."""
        returned = properties(content_header).message_id or ""
        tag = next((tag for tag, (_, each, _) in self._unconfirmed.items() if each.message_id == returned), None)
        if tag is None:
            raise BrokenFrame(f"channel {self.number}: returned what is not under way")
        self._returned.add(tag)

    def _settle(self, payload: bytes, result: PublishResult) -> None:
        tag, multiple = settled(payload)
        # Tags grow, so those up to one come first; 0 means all (AMQP 0-9-1, Basic.Ack).
        upto = tag or self._tag
        for each in list(takewhile(upto.__ge__, self._unconfirmed)) if multiple else [tag]:
            self._one(each, result)
        if self.run is not None:
            self.run.soon()

    def _one(self, tag: int, result: PublishResult) -> None:
        found = self._unconfirmed.pop(tag, None)
        if found is None or self.run is None:
            raise BrokenFrame(f"channel {self.number}: a confirm of {tag}, which is not under way")
        index, message, _ = found
        if tag in self._returned:
            self._returned.discard(tag)
            result = PublishResult.UNROUTABLE
        elif result is PublishResult.FAILED:
            logger.warning("%s %s to %s was refused by the server", message.kind, message.message_id, message.recipient)
            self.run.caution.refused(message.recipient)
        self.run.pipeline.arrived(index, result)

    def ended(self, reason: str) -> None:
        """Count what is under way as failed."""
        if self.run is not None:
            if self._unconfirmed:
                logger.warning("%s; what is not confirmed counts as failed", reason)
            self.run.suspect()
            self.give_up()
        logger.info("no longer publishing: %s", reason)

    def give_up(self) -> None:
        """Expect no more answers."""
        assert self.run is not None
        for index, _, _ in self._unconfirmed.values():
            self.run.pipeline.arrived(index, PublishResult.FAILED)
        self._unconfirmed.clear()
        self.run.soon()


class _Run:
    """One call of `LeanPublisher.publish`: a machine that answers drive.

    Args:
        channels: for each kind of message.
        messages: all of them.
        pipeline: says which may leave.
        caution: is told of refusals.
        timeout_seconds: for each answer.
    """

    def __init__(
        self,
        channels: dict[MessageKind, _Outgoing],
        messages: Sequence[OutboxMessage],
        pipeline: "Pipeline",
        caution: "Caution",
        timeout_seconds: float,
    ) -> None:
        self.pipeline = pipeline
        self.caution = caution
        self.trusted = True
        self._channels = channels
        self._messages = messages
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self._scheduled = False
        self._timer = self._loop.call_later(timeout_seconds, self._look)

    async def finish(self) -> bool:
        """Send everything that can be sent; give whether the connection may be used again."""
        for channel in self._channels.values():
            channel.run = self
        try:
            self.soon()
            await self._over
        finally:
            self._timer.cancel()
            for channel in self._channels.values():
                channel.run = None
        return self.trusted

    def soon(self) -> None:
        """Go on when everything that has come is read."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._go_on)

    def suspect(self) -> None:
        """Send nothing more; the connection must not be used again."""
        self.trusted = False
        self.pipeline.stop()

    def _go_on(self) -> None:
        self._scheduled = False
        if self._over.done():
            return
        try:
            while not self.pipeline.done:
                self._send()
                if self.pipeline.under_way:
                    return
        except ConnectionError as error:  # the channels were told, perhaps before they had this run
            logger.warning("%s; what is not confirmed counts as failed", error)
            self._give_up()
        except Exception as error:  # noqa: BLE001 - a defect: whoever waits for this call has to hear of it
            self._over.set_exception(error)
            return
        if not self.pipeline.under_way:
            self._over.set_result(None)

    def _send(self) -> None:
        burst, octets, now = [], 0, self._loop.time()
        connection = self._channels[MessageKind.ALERT].connection
        for index in self.pipeline.departures():
            frames = self._frames(index, now)
            burst.append(frames)
            octets += len(frames)
            if octets >= BURST_OCTETS:
                connection.write(b"".join(burst))
                burst, octets = [], 0
        if burst:
            connection.write(b"".join(burst))

    def _frames(self, index: int, now: float) -> bytes:
        message = self._messages[index]
        is_reply = message.kind is MessageKind.REPLY
        if is_reply and is_reserved(message.recipient):
            logger.warning("a request asked for its reply in %s: refused", message.recipient)
        else:
            try:
                return self._channels[message.kind].leave(index, message, now)
            except (ValueError, TypeError):
                logger.exception("%s %s cannot be put into AMQP", message.kind, message.message_id)
        self.pipeline.arrived(index, PublishResult.UNROUTABLE if is_reply else PublishResult.FAILED)
        return b""

    def _look(self) -> None:
        """See whether an answer is overdue."""
        now = self._loop.time()
        channels = set(self._channels.values())
        oldest = min((left for channel in channels if (left := channel.oldest) is not None), default=now)
        if now - oldest < self._timeout_seconds:
            self._timer = self._loop.call_at(oldest + self._timeout_seconds, self._look)
            return
        logger.warning("no answer in time; what is not confirmed counts as failed")
        self._give_up()

    def _give_up(self) -> None:
        self.suspect()
        for channel in set(self._channels.values()):
            channel.give_up()


class _LeanOutlet:
    """The two channels of a publisher's connection: replies have one of their own, for what befalls it."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._channels: dict[MessageKind, _Outgoing] = {}
        self._connection: LeanConnection | None = None

    @property
    def lost(self) -> bool:
        """Whether it cannot be used any more."""
        return any(channel.lost is not None for channel in self._channels.values())

    async def start(self, connection: LeanConnection) -> Self:
        """Open both."""
        self._connection = connection
        ordinary, replies = _Outgoing(connection, 1), _Outgoing(connection, 2)
        for channel in (ordinary, replies):
            await channel.open()
        self._channels = {kind: replies if kind is MessageKind.REPLY else ordinary for kind in MessageKind}
        return self

    async def accepting(self, timeout_seconds: float) -> None:
        """Wait until the server accepts messages.

        Raises:
            Unavailable: if it does not in time, or the connection or a channel is lost meanwhile.
        """
        assert self._connection is not None
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._connection.accepting.wait()
        except TimeoutError:
            raise Unavailable(f"{self._server}: accepts no messages; it runs short of memory or disk") from None
        if self.lost:
            raise Unavailable(f"{self._server}: the connection was lost")

    async def send(
        self, messages: Sequence[OutboxMessage], pipeline: "Pipeline", caution: "Caution", timeout_seconds: float
    ) -> bool:
        """See `Outlet`."""
        return await _Run(self._channels, messages, pipeline, caution, timeout_seconds).finish()


class LeanPublisher(ConfirmingPublisher[LeanConnection]):
    """Publishes outbox messages, persistent and mandatory, with confirms; a `Publisher`.

    Source: wire contract §7.
    """

    def _link_to(self, server: "Server") -> LeanLink:
        return LeanLink(server, "publisher")

    def _outlet_on(self, server: "Server") -> Outlet[LeanConnection]:
        return _LeanOutlet(server)


@lru_cache(maxsize=4096)
def _head(channel: int, kind: MessageKind, recipient: str, code: str) -> bytes:
    return publish_frame(channel, EXCHANGES[kind], routing_key(kind, recipient, code))
