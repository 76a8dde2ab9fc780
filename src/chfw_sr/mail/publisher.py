"""Sends outbox messages by e-mail; a `Publisher`.

One connection a claim, one mail at a time, recipient after recipient. What a recipient's first failure leaves of its
messages is not tried in the same claim: nothing overtakes. Failures of one recipient are of its own making (an unknown
address, a greylist, a full mailbox) and make its lane rest, ever longer; a server that is away stops the whole claim.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import groupby
from operator import attrgetter
from typing import Self

from chfw_sr.messages import EUI
from chfw_sr.service.ports import Contact, OutboxMessage, PublishResult, Store, Unavailable

from .bundles import Bounds, Bundle, bundles
from .composing import Composer
from .server import MailRefused, MailServer, Session

logger = logging.getLogger(__name__)

FIRST_REST_SECONDS = 60.0
LONGEST_REST_SECONDS = 600.0
"""How long a recipient's lane rests after its first failure in a row, and after many; greylists want minutes."""

LOOK_SECONDS = 60.0
"""How often a server that was found away, or that nothing was sent to, is asked whether it is there."""

OK = "ok"


class MailPublisher:
    """Sends mails and remembers what became of them.

    Args:
        server: which takes them.
        composer: which writes them.
        store: whose register has the addresses; they are looked up when a mail is sent, and never stored with it.
        bounds: what one mail may hold.
        budget_seconds: after which no other mail of a claim is begun: what was sent must be marked within the lease.
        elapsed: seconds that never go back.
    """

    def __init__(
        self,
        server: MailServer,
        composer: Composer,
        store: Store,
        *,
        bounds: Bounds | None = None,
        budget_seconds: float = 60.0,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._composer = composer
        self._store = store
        self._bounds = bounds or Bounds()
        self._budget_seconds = budget_seconds
        self._elapsed = elapsed
        self._failures: dict[str, int] = {}
        self._doubtful: dict[str, int] = {}
        self._state = ""
        self._looked_at = -LOOK_SECONDS

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Send messages, in order for each recipient; a message is confirmed once the server has answered for its mail.

        Raises:
            Unavailable: if the server was away before any was sent.
        """
        contacts = await self._store.register.contacts()
        begun = self._elapsed()
        confirmed: set[int] = set()
        lines = {name: tuple(each) for name, each in groupby(sorted(messages, key=_order), attrgetter("recipient"))}
        async with _Line(self._server) as line:
            try:
                for recipient, theirs in lines.items():
                    if self._elapsed() - begun > self._budget_seconds:
                        break
                    confirmed |= await self._send_to(line, recipient, theirs, contacts)
            except Unavailable as error:
                self._note(str(error))
                if not confirmed and not line.opened:
                    raise
                logger.warning("%s; what was not sent comes again", error)
            else:
                if line.opened:
                    self._note(OK)
        return [PublishResult.CONFIRMED if each.id in confirmed else PublishResult.FAILED for each in messages]

    def rest_seconds(self, message: OutboxMessage) -> float:
        """Say how long the lane of a message that was not confirmed rests: twice as long after each failure."""
        failures = self._failures.get(message.recipient, 0)
        if not failures:
            return 0.0
        return min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(failures - 1, 16))

    async def look(self) -> str:
        """Tell whether the server takes mails: `ok`, or what is wrong. It is asked when nothing was sent lately."""
        if self._elapsed() - self._looked_at >= LOOK_SECONDS:
            self._note(f"{self._server}: no answer yet")  # stays if nobody waits for one as long as we do
            try:
                async with self._server.session():
                    self._note(OK)
            except Unavailable as error:
                self._note(str(error))
        return self._state

    def _note(self, state: str) -> None:
        self._state = state
        self._looked_at = self._elapsed()

    async def _send_to(
        self, line: "_Line", recipient: str, messages: Sequence[OutboxMessage], contacts: Mapping[EUI, Contact]
    ) -> set[int]:
        """Send one recipient's mails up to the first that fails; give the ids of what the server answered for."""
        contact = contacts.get(EUI(recipient))
        if contact is None or contact.email is None:
            logger.warning("%d alert(s) by e-mail to %s wait: it has no address any more", len(messages), recipient)
            self._failed(recipient)
            return set()
        confirmed: set[int] = set()
        for bundle in bundles(messages, self._bounds, self._doubtful.pop(recipient, None)):
            octets = await asyncio.to_thread(self._composer.compose, bundle, contact.email)
            if not await self._send(line, recipient, contact.email, bundle, octets):
                break
            confirmed.update(each.id for each in bundle)
            self._failures.pop(recipient, None)
        return confirmed

    async def _send(self, line: "_Line", recipient: str, address: str, bundle: Bundle, octets: bytes) -> bool:
        session = await line.session()
        try:
            await session.send(self._composer.sender, address, octets)
        except MailRefused as refusal:
            self._failed(recipient)
            log = logger.error if refusal.permanent else logger.warning
            log("a mail of %d alert(s) to %s was refused: %s", len(bundle), recipient, refusal)
            return False
        except Unavailable as error:
            # It may have arrived, and it may be this very mail that the server cannot take.
            self._failed(recipient)
            self._doubtful[recipient] = bundle[-1].id
            line.drop()
            logger.warning("a mail of %d alert(s) to %s may be lost: %s", len(bundle), recipient, error)
            return False
        return True

    def _failed(self, recipient: str) -> None:
        self._failures[recipient] = self._failures.get(recipient, 0) + 1


class _Line:
    """The connection of one claim: opened with the first mail, and once more if it is lost."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._stack = AsyncExitStack()
        self._session: Session | None = None
        self._opened = 0

    @property
    def opened(self) -> bool:
        """Whether there ever was a connection."""
        return self._opened > 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def session(self) -> Session:
        """Give the connection.

        Raises:
            Unavailable: if the server is away, or was lost twice.
        """
        if self._session is None:
            if self._opened > 1:
                raise Unavailable(f"{self._server}: lost twice within one claim")
            self._session = await self._stack.enter_async_context(self._server.session())
            self._opened += 1
        return self._session

    def drop(self) -> None:
        """Note that the connection is of no use any more."""
        self._session = None


def _order(message: OutboxMessage) -> tuple[str, int]:
    return message.recipient, message.id
