"""With whom the service has to do: the register as it was when it was read last."""

from collections.abc import Mapping
from dataclasses import dataclass

from chfw_sr.messages import EUI
from chfw_sr.wire import TrustStore

from .mailing import by_email
from .ports import Channels, Register


@dataclass(frozen=True, slots=True)
class Correspondents:
    """Whom the service believes, and whom it sends mail.

    Attributes:
        revision: the register's (`Register.trust_revision`), or an earlier one.
        trust: certificates by which a message is believed to be somebody's.
        mailed: the channels of Users whom alerts reach by e-mail.
    """

    revision: int
    trust: TrustStore
    mailed: Mapping[EUI, Channels]


async def read_correspondents(register: Register) -> Correspondents:
    """Read them; the revision first, so that what changes meanwhile is noticed by it.

    Raises:
        Unavailable: if the store is down.
    """
    revision = await register.trust_revision()
    return Correspondents(revision, TrustStore(await register.certificates()), await by_email(register))
