"""From outbox messages to the octets of one mail: text for people, and the signed documents as they are.

A mail is a function of its messages, sender and recipient: a repeat has the same octets, and a Message-ID made from the
names of its messages.
"""

import hashlib
import io
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from chfw_sr.messages import (
    Alert,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    Rejected,
)
from chfw_sr.service.ports import OutboxMessage
from chfw_sr.wire import read_alert

from .bundles import Bundle
from .digest import Told, digest
from .letters import Letter, letter

logger = logging.getLogger(__name__)

ARCHIVE = "alerts.zip"

_ACTIVATIONS = (CommsHubFirmwareActivation, CommsHubFirmwareActivationFailed)


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes mails. May be used from any thread.

    Attributes:
        sender: the address in From.
        zone: in which, beside UTC, times are told.
    """

    sender: str
    zone: ZoneInfo

    def compose(self, bundle: Bundle, recipient: str) -> bytes:
        """Write one mail.

        Args:
            bundle: its messages; several are activations.
            recipient: the address in To.

        Returns:
            Header and body, in lines that end with CR LF and are at most 998 octets long.
        """
        told = _letter(bundle, self.zone)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self.sender
        mail["To"] = recipient
        mail["Subject"] = told.subject
        mail["Date"] = format_datetime(max(each.created_at for each in bundle))
        mail["Message-ID"] = message_id(bundle, self.sender)
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join((*told.paragraphs, _signature_note(bundle))) + "\n", cte="quoted-printable")
        for sheet in told.sheets:
            mail.add_attachment(sheet.octets, maintype="text", subtype="csv", filename=sheet.name)
        if len(bundle) == 1:
            mail.add_attachment(bundle[0].octets, maintype="application", subtype="xml", filename=_file_name(bundle[0]))
        else:
            mail.add_attachment(_archive(bundle), maintype="application", subtype="zip", filename=ARCHIVE)
        for number, part in enumerate(mail.walk()):
            if part.is_multipart():
                # Else the boundary is random, and a repeat has other octets.
                part.set_boundary(f"=_{_digest(bundle)}_{number}")
        return mail.as_bytes()


def message_id(bundle: Sequence[OutboxMessage], sender: str) -> str:
    """Make the Message-ID of a mail: the same for the same messages."""
    return f"<{_digest(bundle)}@{sender.rpartition('@')[2]}>"


def _digest(bundle: Sequence[OutboxMessage]) -> str:
    names = "\n".join(each.message_id for each in bundle)
    return hashlib.sha256(names.encode()).hexdigest()[:40]


def _letter(bundle: Bundle, zone: ZoneInfo) -> Letter:
    alerts = list(map(_read, bundle))
    told = [
        Told(alert.body, message.created_at, message.message_id)
        for alert, message in zip(alerts, bundle, strict=True)
        if alert is not None and isinstance(alert.body, _ACTIVATIONS)
    ]
    if len(told) == len(bundle):
        return digest(told, zone)
    (alert, *more) = alerts
    if alert is None or more:
        kinds = ", ".join(sorted({each.type for each in bundle}))
        return Letter(f"DCC Alert {kinds}", ("What it says is in the signed document, attached.",))
    return letter(alert.body, zone)


def _read(message: OutboxMessage) -> Alert | None:
    """Read an alert of our own; None, loudly, if it cannot be: then its octets must do."""
    try:
        return read_alert(message.octets)[0]
    except Rejected as rejection:
        logger.error("%s cannot be told in words: %s", message.message_id, rejection.reason)  # noqa: TRY400 - all said
        return None


def _signature_note(bundle: Bundle) -> str:
    if len(bundle) == 1:
        return (
            f"The signed DCC Alert is attached: {_file_name(bundle[0])}, ResponseID {bundle[0].message_id}. It is what"
            " counts; this text only tells it. If it comes twice, it has the same ResponseID."
        )
    return (
        f"The {len(bundle):,} signed DCC Alerts are attached in {ARCHIVE}. They are what counts; this text only tells"
        " them. If one comes twice, it has the same ResponseID."
    )


def _file_name(message: OutboxMessage) -> str:
    return f"{message.type}-{message.message_id.rpartition(':')[2]}.xml"


def _archive(bundle: Bundle) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for message in bundle:
            at = message.created_at.timetuple()[:6]
            info = zipfile.ZipInfo(_file_name(message), at)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, message.octets)
    return file.getvalue()
