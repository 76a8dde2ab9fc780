"""E-mail, wired: the relay that sends it, and the warning where nothing does."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from chfw_sr.mail.composing import Composer
from chfw_sr.mail.publisher import MailPublisher
from chfw_sr.mail.server import MailServer
from chfw_sr.service.mailing import Digests
from chfw_sr.service.observer import Observer
from chfw_sr.service.ports import Clock, Store, parse_address
from chfw_sr.service.relay import Relay
from chfw_sr.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

CLAIMED_AT_ONCE = 2_000
"""Messages; most are activations, hundreds of which make one mail."""

LEASE_SECONDS = 300.0
"""Mails are slow: a lane's rest, and what is sent of one claim, must fit into this twice and once."""

IDLE_SECONDS = 5.0
"""How often to look for mail that is due."""


@dataclass(frozen=True, slots=True)
class Mail:
    """What sends alerts by e-mail."""

    publisher: MailPublisher
    relay: Relay


def build_mail(settings: Settings, store: Store, clock: Clock, observer: Observer | None = None) -> Mail | None:
    """Wire the relay of e-mail; None where no SMTP server is named.

    Raises:
        SettingsError: if a setting cannot be used.
    """
    if settings.smtp_url is None or settings.smtp_from is None:
        return None
    try:
        server = MailServer.parse(
            settings.smtp_url.get_secret_value(),
            ca_file=settings.smtp_ca_file,
            timeout_seconds=settings.smtp_timeout_seconds,
        )
    except ValueError as error:
        raise SettingsError(f"smtp_url: {error}") from error
    try:
        composer = Composer(parse_address(settings.smtp_from), ZoneInfo(settings.time_zone))
    except ValueError as error:
        raise SettingsError(f"smtp_from: {error}") from error
    publisher = MailPublisher(server, composer, store)
    relay = Relay(
        store=store,
        publisher=publisher,
        clock=clock,
        batch=CLAIMED_AT_ONCE,
        lease_seconds=LEASE_SECONDS,
        digests=Digests(timedelta(minutes=settings.email_digest_minutes), settings.email_digest_size),
        rest_seconds=publisher.rest_seconds,
        observer=observer,
    )
    return Mail(publisher, relay)


async def warn_of_silence(settings: Settings, store: Store) -> None:
    """Say so where Users want e-mail and nobody sends any.

    Raises:
        Unavailable: if the store is down.
    """
    if settings.smtp_url is None:
        wanting = sum(each.channels.by_email for each in (await store.register.contacts()).values())
        if wanting:
            logger.warning("%d User(s) want alerts by e-mail, and smtp_url is not set: their mails wait", wanting)
