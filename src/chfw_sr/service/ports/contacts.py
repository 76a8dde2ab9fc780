"""How alerts reach a User: by its queue, by e-mail, or both."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

LONGEST_ADDRESS = 254
LONGEST_LOCAL_PART = 64

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@{_LABEL}(?:\.{_LABEL})+")


class Channels(StrEnum):
    """Where a User's alerts go."""

    AMQP = "amqp"
    """To its queue `alerts.EUI`."""
    EMAIL = "email"
    """To its address, and nowhere else."""
    BOTH = "both"

    @property
    def by_bus(self) -> bool:
        """True if alerts go to the User's queue."""
        return self is not Channels.EMAIL

    @property
    def by_email(self) -> bool:
        """True if alerts go to the User's address."""
        return self is not Channels.AMQP


@dataclass(frozen=True, slots=True)
class Contact:
    """How alerts reach a User. An address is personal data: its `repr` does not show it.

    Attributes:
        channels: where alerts go.
        email: an address as `parse_address` gives it; may be kept while it is not used.
    """

    channels: Channels = Channels.AMQP
    email: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.channels.by_email and self.email is None:
            raise ValueError(f"channels is {self.channels}, and there is no email")


ON_THE_BUS = Contact()
"""How alerts reach a User of whom nothing else was said."""


def parse_address(text: str) -> str:
    """Check an e-mail address; its domain is given in lower case.

    Quoted local parts, address literals and characters beyond ASCII are legal and refused: hardly a server takes them.

    Args:
        text: for instance `operations@supplier.example`.

    Raises:
        ValueError: if it is none, without saying it again.

    Source: RFC 5321 §4.1.2 and §4.5.3.1, RFC 1123 §2.1.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or len(text) > LONGEST_ADDRESS or len(match["local"]) > LONGEST_LOCAL_PART:
        raise ValueError("not an e-mail address such as operations@supplier.example")
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"
