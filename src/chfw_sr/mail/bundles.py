"""Which messages of a recipient become one mail.

Activations that follow each other become one digest, up to a number and to a size; every other alert has a mail of its
own. Nothing is put in another order: a change of stage ends a digest, and its mail comes after it.

A mail that may have arrived (the connection was lost before the server's last word) is sent again as it was: its last
message ends the digest again, though more have come since. So the repeat has the same Message-ID and the same octets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chfw_sr.service.mailing import DIGESTED
from chfw_sr.service.ports import OutboxMessage

Bundle = tuple[OutboxMessage, ...]
"""The messages of one mail, in order of id."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one mail may hold.

    Attributes:
        messages: alerts in a digest.
        octets: of their documents together; one that is larger alone travels alone.
    """

    messages: int = 1_000
    octets: int = 6 * 2**20


def bundles(messages: Sequence[OutboxMessage], bounds: Bounds, ended_at: int | None = None) -> Iterator[Bundle]:
    """Divide a recipient's messages into mails.

    Args:
        messages: of one recipient, in order of id.
        bounds: what a mail may hold.
        ended_at: id of the last message of a mail that may have arrived already.
    """
    bundle: list[OutboxMessage] = []
    octets = 0
    for message in messages:
        if bundle and (
            message.type not in DIGESTED
            or bundle[-1].type not in DIGESTED
            or bundle[-1].id == ended_at
            or len(bundle) >= bounds.messages
            or octets + len(message.octets) > bounds.octets
        ):
            yield tuple(bundle)
            bundle, octets = [], 0
        bundle.append(message)
        octets += len(message.octets)
    if bundle:
        yield tuple(bundle)
