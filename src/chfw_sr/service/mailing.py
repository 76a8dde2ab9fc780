"""E-mail, as far as the service decides it: whom alerts reach by it, and which of them may wait for company."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chfw_sr.messages import EUI, AlertCode

from .ports import Channels, Patience, Register, Store

DIGESTED = frozenset({AlertCode.N64, AlertCode.N908})
"""Alerts that come by the thousand, one a hub: many of them make one mail."""

NOBODY: Mapping[EUI, Channels] = {}
"""What a mailing list holds where all Users read their queues."""


async def by_email(register: Register) -> Mapping[EUI, Channels]:
    """Give the channels of each User whom alerts reach by e-mail.

    Raises:
        Unavailable: if the store is down.
    """
    contacts = await register.contacts()
    return {eui: each.channels for eui, each in contacts.items() if each.channels.by_email}


class MailingList:
    """Whom alerts reach by e-mail. It is read again when the register's revision has changed, as the trust store is.

    Args:
        store: whose register.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision: int | None = None
        self._channels = NOBODY

    async def current(self) -> Mapping[EUI, Channels]:
        """Give the channels of each User that has e-mail.

        Raises:
            Unavailable: if the store is down.
        """
        revision = await self._store.register.trust_revision()
        if revision != self._revision:
            self._channels = await by_email(self._store.register)
            self._revision = revision
        return self._channels


@dataclass(frozen=True, slots=True)
class Digests:
    """When activations that wait for company become a mail.

    Attributes:
        wait: how long the oldest one waits, at most.
        size: how many are enough.
    """

    wait: timedelta
    size: int

    def patience(self, now: datetime) -> Patience:
        """Say which messages may still wait."""
        return Patience(types=DIGESTED, before=now - self.wait, number=self.size)
