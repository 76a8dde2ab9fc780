"""The client of one User: sends Service Requests, and waits for what comes of them, across restarts.

A request that is sent is in the journal before it is on its way. While it has no Service Response it is sent again, the
very same octets, at growing intervals and whenever a client is started: the DCC answers a repeat with the stored
response. Its outcome alert comes with the other alerts, so it is noticed while a subscription is open.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from chfw_sr.messages import EUI, SERVICE_REFERENCES, SRV, Body, Rejected, RequestID, ServiceResponse
from chfw_sr.unavailable import Unavailable
from chfw_sr.wire import Signer, TrustStore, read_alert, read_response

from .alerts import AlertSubscription
from .building import Unnumbered, build, finish
from .dispatch import Dispatcher
from .errors import ClientStopped, NotSubscribed
from .journal import Entry, Journal, Noted
from .reading import Reader, ReceivedAlert, ReceivedResponse
from .transport import Arrival, Inbound, Source, Transport
from .waiting import Waiter

logger = logging.getLogger(__name__)

RESEND_SECONDS = 300.0
"""How long to wait for a Service Response before a request is sent again; twice as long each time."""

RESPONSES_AT_ONCE = 100
ALERTS_AT_ONCE = 1000
"""Alerts that a subscription reads ahead of the caller, by default."""

PAUSE_SECONDS = 0.2
"""Between attempts where a transport does not pace itself."""


@dataclass(frozen=True)
class Submission:
    """A Service Request that is in the journal and on its way.

    Attributes:
        request_id: its name.
        srv: its Service Reference Variant.
        octets: the signed document.
    """

    request_id: RequestID
    srv: SRV | str
    octets: bytes
    _client: "Client"

    async def sent(self) -> None:
        """Wait until the bus has the request safe; at once if it was answered.

        Raises:
            ClientStopped: if the client ends meanwhile.
        """
        await self._client.wait_until_sent(self.request_id)

    async def response(self) -> ServiceResponse:
        """Wait for the Service Response; at once if the journal has it.

        Raises:
            ClientStopped: if the client ends meanwhile.
        """
        return (await self.received_response()).response

    async def received_response(self) -> ReceivedResponse:
        """Wait for the Service Response and the document that it came in.

        Raises:
            ClientStopped: if the client ends meanwhile.
        """
        return await self._client.wait_for_response(self.request_id)

    async def outcome(self) -> ReceivedAlert | None:
        """Wait for the Service Response, then for the outcome alert; None if there is none to come: a read was served.

        Raises:
            NotSubscribed: if it is not in the journal, and no subscription of this client is open to bring it.
            AlertsWaiting: if the caller itself holds up the alerts; see `AlertSubscription`.
            ClientStopped: if the client ends meanwhile.
        """
        return await self._client.wait_for_outcome(self.request_id)


class Client:
    """See the module. Use it as an async context manager: it works inside the block.

    Args:
        user: whose requests, responses and alerts these are.
        dcc: the DCC's EUI.
        signer: the User's key; None for one that only subscribes, or sends documents that are signed already.
        trust: the DCC's certificates; `trust_in` and `load_trust` make it.
        transport: the way to the DCC; closed with the client.
        journal: the memory; stays the caller's to close.
        clock: gives the present, aware; the machine's clock if absent.
        resend_seconds: how long to wait for a response before a request is sent again.
    """

    def __init__(
        self,
        *,
        user: EUI,
        dcc: EUI,
        signer: Signer | None = None,
        trust: TrustStore,
        transport: Transport,
        journal: Journal,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        resend_seconds: float = RESEND_SECONDS,
    ) -> None:
        self.user = user
        self.dcc = dcc
        self.journal = journal
        self.clock = clock
        self.reader = Reader(user, dcc, trust)
        self._signer = signer
        self._transport = transport
        self._dispatcher = Dispatcher(transport, resend_seconds)
        self._waiting: defaultdict[tuple[Inbound, RequestID], set[asyncio.Future[None]]] = defaultdict(set)
        self._subscription: AlertSubscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped: str | None = "the client was not started: use it as `async with`"

    async def __aenter__(self) -> Self:
        for aside in await asyncio.to_thread(self.journal.set_aside, Inbound.RESPONSES):
            if await self._take_response(aside.octets):
                await asyncio.to_thread(self.journal.drop_aside, aside.id)
        self._stopped = None
        for entry in await asyncio.to_thread(self.journal.unanswered):
            if entry.request_id.originator == self.user:
                self._dispatch(entry)
        return self

    def _start(self) -> None:
        """Send, and read responses; not before there is a request, so that a mere subscriber takes no responses."""
        if self._tasks:
            return
        source = self._transport.source(Inbound.RESPONSES, RESPONSES_AT_ONCE)
        for work in (self._dispatcher.run(), self._read_responses(source)):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop("the client was closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._transport.close()

    # ------------------------------------------------------------------------------------------- sending

    async def send(
        self, body: Body, *, first_in_sequence: bool | None = None, preceding: RequestID | None = None
    ) -> Submission:
        """Make a Service Request, sign it, write it down and send it on its way.

        Comes back once it is written down. If the bus is away it is sent when that is back.

        Args:
            body: what to ask for.
            first_in_sequence: as DUIS has it; absent if None.
            preceding: the request that must have been done before (DUIS); absent if None.

        Raises:
            ValueError: if the client has no key.
            ClientStopped: if the client does not run.
        """
        self._check_running()
        signer = self._signer
        if signer is None:
            raise ValueError("this client has no key to sign with")

        def write(request_id: RequestID) -> tuple[bytes, bytes]:
            made = build(body, request_id, signer, first_in_sequence=first_in_sequence, preceding=preceding)
            return made.octets, made.digest

        return self._dispatch(await asyncio.to_thread(self.journal.make, self.user, self.dcc, body.srv, write))

    async def submit(self, octets: bytes, *, renumber: bool = False) -> Submission:
        """Send a document that somebody else made; it is signed if it is not signed yet.

        A request that is in the journal already is not made anew: its first octets are sent again, if it has no
        response yet.

        Args:
            octets: a Service Request of this User to this DCC.
            renumber: give it the journal's next counter in place of its own, and sign it anew.

        Raises:
            Rejected: if it is no Service Request as the schema has it.
            ValueError: if it is another User's, or for another DCC.
            Reused: if the journal has other content under its RequestID.
            ClientStopped: if the client does not run.
        """
        self._check_running()
        if renumber:
            return self._dispatch(await asyncio.to_thread(self._renumbered, octets))
        made = await asyncio.to_thread(finish, octets, self._signer, user=self.user, dcc=self.dcc)
        return self._dispatch(
            await asyncio.to_thread(self.journal.record, made.request_id, made.srv, made.octets, made.digest)
        )

    def _renumbered(self, octets: bytes) -> Entry:
        unnumbered = Unnumbered.of(octets, user=self.user, dcc=self.dcc)

        def write(request_id: RequestID) -> tuple[bytes, bytes]:
            made = finish(unnumbered.numbered(request_id), self._signer)
            return made.octets, made.digest

        return self.journal.make(self.user, self.dcc, unnumbered.srv, write)

    async def unanswered(self) -> Sequence[Submission]:
        """Give the requests without a Service Response, those of earlier runs among them, the oldest first."""
        entries = await asyncio.to_thread(self.journal.unanswered)
        return [self._submission(entry) for entry in entries if entry.request_id.originator == self.user]

    async def submission(self, request_id: RequestID) -> Submission | None:
        """Give a request by its name, if the journal knows it."""
        entry = await asyncio.to_thread(self.journal.entry, request_id)
        return None if entry is None else self._submission(entry)

    def _submission(self, entry: Entry) -> Submission:
        return Submission(entry.request_id, entry.srv, entry.octets, self)

    def _dispatch(self, entry: Entry) -> Submission:
        if entry.response is None:
            self._dispatcher.add(entry.request_id, entry.srv, entry.octets)
            self._start()
        return self._submission(entry)

    # ------------------------------------------------------------------------------------------- alerts

    def alerts(self, *, ahead: int = ALERTS_AT_ONCE) -> AlertSubscription:
        """Subscribe to this User's alerts; one subscription at a time.

        Args:
            ahead: how many alerts may be read ahead of the caller; they stay the bus's until the caller is done.
        """
        return AlertSubscription(self, self._transport.source(Inbound.ALERTS, ahead), ahead)

    def subscribed(self, subscription: AlertSubscription | None) -> None:
        """Note which subscription is open; called by it.

        Raises:
            RuntimeError: if another one is open already.
        """
        if subscription is not None and self._subscription is not None:
            raise RuntimeError("this client has a subscription already; two would share the alerts between them")
        self._subscription = subscription

    async def notice_outcome(self, alert: ReceivedAlert) -> None:
        """Write an outcome alert down beside its request, and wake who waits for it; called by a subscription."""
        request_id = alert.request_id
        if request_id is None:
            return
        noted = await asyncio.to_thread(self.journal.ended, request_id, alert.octets)
        if noted is Noted.OTHER:
            logger.error("%s has a second outcome alert, %s: the first one counts", request_id, alert.id)
        self._wake(Inbound.ALERTS, request_id)

    # ------------------------------------------------------------------------------------------- waiting

    async def wait_until_sent(self, request_id: RequestID) -> None:
        """See `Submission.sent`."""
        while (await self._entry(request_id)).response is None and not self._dispatcher.was_sent(request_id):
            self._check_running()
            with Waiter(self._waiting, (Inbound.RESPONSES, request_id)) as answered:
                await self._dispatcher.next_sent(answered)

    async def wait_for_response(self, request_id: RequestID) -> ReceivedResponse:
        """See `Submission.received_response`."""
        while True:
            with Waiter(self._waiting, (Inbound.RESPONSES, request_id)) as woken:
                entry = await self._entry(request_id)
                if entry.response is not None:
                    return ReceivedResponse(read_response(entry.response), entry.response)
                self._check_running()
                await woken

    async def wait_for_outcome(self, request_id: RequestID) -> ReceivedAlert | None:
        """See `Submission.outcome`."""
        response = await self.wait_for_response(request_id)
        srv = response.response.srv
        if isinstance(srv, SRV) and SERVICE_REFERENCES[srv].read and not response.response.code.is_error:
            return None
        while True:
            with Waiter(self._waiting, (Inbound.ALERTS, request_id)) as woken:
                entry = await self._entry(request_id)
                if entry.outcome is not None:
                    alert, response_id, at = read_alert(entry.outcome)
                    return ReceivedAlert(response_id, alert.body, at, entry.outcome)
                self._check_running()
                if self._subscription is None:
                    raise NotSubscribed(
                        f"nobody reads the alerts: open Client.alerts() to hear what became of {request_id}"
                    )
                await self._subscription.until_woken(woken)

    async def _entry(self, request_id: RequestID) -> Entry:
        entry = await asyncio.to_thread(self.journal.entry, request_id)
        if entry is None:
            raise KeyError(f"the journal knows nothing of {request_id}")
        return entry

    def _wake(self, inbound: Inbound, request_id: RequestID) -> None:
        for woken in self._waiting.pop((inbound, request_id), ()):
            if not woken.done():
                woken.set_result(None)

    # ------------------------------------------------------------------------------------------- responses

    async def _read_responses(self, source: Source) -> None:
        try:
            while True:
                try:
                    arrivals = await source.receive(RESPONSES_AT_ONCE)
                    await self._take_responses(arrivals)
                    await source.acknowledge(arrivals)
                except Unavailable as error:
                    logger.warning("responses: %s", error)
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await source.close()

    async def _take_responses(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            await self._take_response(arrival.octets)

    async def _take_response(self, octets: bytes) -> bool:
        """Write a response down, or set it aside; True if it is written down."""
        try:
            received = await asyncio.to_thread(self.reader.response, octets, self.clock())
        except Rejected as rejection:
            await self.put_aside(Inbound.RESPONSES, octets, rejection.reason)
            return False
        request_id = received.response.request_id
        match await asyncio.to_thread(self.journal.answered, request_id, octets):
            case Noted.UNKNOWN:
                await self.put_aside(Inbound.RESPONSES, octets, f"{request_id} is not in this journal")
                return False
            case Noted.OTHER:
                reason = f"{request_id} has another response already: two journals may share its counters"
                await self.put_aside(Inbound.RESPONSES, octets, reason)
                return False
        self._dispatcher.remove(request_id)
        self._wake(Inbound.RESPONSES, request_id)
        return True

    async def put_aside(self, inbound: Inbound, octets: bytes, reason: str) -> None:
        """Keep a message that cannot be believed, and say so."""
        logger.error("set aside, one of the %s: %s", inbound, reason)
        await asyncio.to_thread(self.journal.put_aside, inbound, octets, reason)

    # ------------------------------------------------------------------------------------------- the end

    def _check_running(self) -> None:
        if self._stopped is not None:
            raise ClientStopped(self._stopped)

    def _stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason
        for key in list(self._waiting):
            self._wake(*key)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the client has met a defect", exc_info=error)
            self._stop(f"the client has met a defect: {error!r}")
