"""What is sent back for a delivery: Service Responses and who they are for, refusals, and what is put aside."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chfw_sr.messages import (
    Alert,
    CampaignID,
    Rejected,
    ResponseCode,
    ServiceRequestRejected,
    ServiceResponse,
    instant_text,
    unchecked,
)
from chfw_sr.wire import Attributed, Signer, Unattributed, write_responses

from .dispatch import Letter, Outgoing
from .outcome import Outcome
from .ports import (
    HEADER_CODE,
    HEADER_REASON,
    HEADER_RECEIVED,
    Claim,
    Delivery,
    InboxRecord,
    MessageKind,
    Quarantined,
)

_new_alert = unchecked(Alert)
_new_rejection = unchecked(ServiceRequestRejected)


@dataclass(slots=True)
class Answer:
    """What a delivery comes to.

    Attributes:
        outcome: what became of it.
        response: the Service Response, if it gets one, to be written.
        octets: the Service Response once it is written.
        alerts: what else is told, in order.
        claim: what to remember of the request; None of a repeat, and of what nobody is held to.
        letter: input that is put aside.
    """

    delivery: Delivery
    outcome: Outcome
    response: ServiceResponse | None = None
    octets: bytes | None = None
    alerts: list[Alert] = field(default_factory=list)
    claim: Claim | None = None
    letter: Letter | None = None

    @property
    def size(self) -> int:
        """How long the Service Response is, roughly: one, and the lines of all lists in it."""
        payload = self.response.payload if self.response is not None else None
        lists = [] if payload is None else [each for _, each in payload if isinstance(each, tuple)]
        return 1 + sum(map(len, lists))

    def record(self, received_at: datetime) -> InboxRecord | None:
        """Give what to remember; only of an answer that is written."""
        if self.claim is None or self.octets is None:
            return None
        return InboxRecord(self.claim, self.outcome.srv, ResponseCode(self.outcome.code), self.octets, received_at)

    def outgoing(self) -> list[Outgoing]:
        """Give what to send, in order."""
        sent: list[Outgoing] = [] if self.octets is None else [*self._letters(self.octets)]
        sent += self.alerts
        if self.letter is not None:
            sent.append(self.letter)
        return sent

    def _letters(self, octets: bytes) -> list[Letter]:
        """Address the Service Response: to the originator's queue if it is verified, and to `reply_to` if given."""
        request_id, reply_to = self.outcome.request_id, self.delivery.reply_to
        assert request_id is not None
        headers = {HEADER_CODE: str(self.outcome.code)}
        name = f"{request_id.target}:{request_id.originator}:{request_id.counter}"
        srv = self.outcome.srv or ""
        correlation_id = self.delivery.correlation_id or str(request_id)
        letters = []
        if self.letter is None:
            recipient = request_id.originator
            letters.append(Letter(MessageKind.RESPONSE, recipient, name, srv, octets, correlation_id, headers))
        if reply_to:
            letters.append(Letter(MessageKind.REPLY, reply_to, name, srv, octets, correlation_id, headers))
        return letters


def write(answers: Sequence[Answer], signer: Signer) -> None:
    """Write and sign the Service Responses of answers that have none yet, in one go."""
    unwritten = [(each, each.response) for each in answers if each.response is not None]
    written = write_responses([response for _, response in unwritten], signer)
    for (answer, _), octets in zip(unwritten, written, strict=True):
        answer.octets, answer.response = octets, None


def concerns(intake: Attributed | Unattributed) -> dict[str, str]:
    """Give what lines of the log about a message say of it."""
    named = {"request_id": intake.request_id, "campaign_id": campaign_of(intake)}
    return {name: str(value) for name, value in named.items() if value is not None}


def campaign_of(intake: Attributed | Unattributed) -> CampaignID | None:
    """Give the campaign that a request names; None if it names none or could not be read."""
    if isinstance(intake, Unattributed) or isinstance(intake.outcome, Rejected):
        return None
    campaign_id: CampaignID | None = getattr(intake.outcome.body, "campaign_id", None)
    return campaign_id


def rejection_alert(intake: Attributed, rejection: Rejected) -> Alert:
    """Tell the originator that its request was refused (N904)."""
    return _new_alert(
        recipient=intake.request_id.originator,
        body=_new_rejection(
            request_id=intake.request_id,
            srv=intake.srv,
            response_code=rejection.code,
            reason=rejection.reason,
        ),
    )


def set_aside(delivery: Delivery, code: str, reason: str, now: datetime) -> tuple[Quarantined, Letter]:
    """Give what to keep of input that nobody can be held to, or that met a defect, and what to tell of it."""
    kept = Quarantined(
        octets=delivery.octets,
        code=code,
        reason=reason,
        received_at=now,
        reply_to=delivery.reply_to,
        correlation_id=delivery.correlation_id,
        source=delivery.source,
    )
    letter = Letter(
        kind=MessageKind.QUARANTINE,
        recipient="",
        message_id=delivery.message_id or "",
        type=code,
        octets=delivery.octets,
        correlation_id=delivery.correlation_id,
        headers={HEADER_CODE: code, HEADER_REASON: reason, HEADER_RECEIVED: instant_text(now)},
    )
    return kept, letter
