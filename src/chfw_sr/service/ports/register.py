"""The register: who and what there is."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, overload

from chfw_sr.campaign.model import Hub, User
from chfw_sr.messages import EUI, HubStatus, Region
from chfw_sr.wire import TrustedCertificate

from .contacts import ON_THE_BUS, Contact


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A User to register, with its certificates and how alerts reach it (replacing what was known of all)."""

    user: User
    certificates: tuple[TrustedCertificate, ...] = ()
    contact: Contact = ON_THE_BUS


@dataclass(frozen=True, slots=True)
class ImportCount:
    """What an inventory import did."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


class HubColumns(Sequence[Hub]):
    """Hubs by columns, of which a `Hub` is made when one is asked for: an import of millions asks for none.

    Args:
        columns: for each of the first ten fields of `Hub` the values of all hubs, valid and in their form.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: Sequence[Sequence[str | None]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, place: int) -> Hub: ...
    @overload
    def __getitem__(self, place: slice) -> "HubColumns": ...
    def __getitem__(self, place: int | slice) -> "Hub | HubColumns":
        if isinstance(place, slice):
            return HubColumns([column[place] for column in self.columns])
        row: list[Any] = [column[place] for column in self.columns]
        eui, manufacturer, model, version, region, status, *responsible = row
        return Hub(eui, manufacturer, model, version, Region(region), HubStatus(status), *responsible)


class Register(Protocol):
    """Who and what there is."""

    async def save_users(self, records: Sequence[UserRecord], at: datetime) -> None:
        """Add Users, or replace them with the same EUI; all or nothing. Certificates not named are withdrawn."""
        ...

    async def users(self) -> Sequence[UserRecord]:
        """Give all Users in order of EUI, with their certificates."""
        ...

    async def certificates(self) -> Sequence[TrustedCertificate]:
        """Give every certificate of the trust store."""
        ...

    async def trust_revision(self) -> int:
        """Give a number that changes whenever a certificate or a contact does."""
        ...

    async def contacts(self) -> Mapping[EUI, Contact]:
        """Give the contact of each User that has an address, whether alerts go there or not."""
        ...

    async def import_hubs(self, chunks: AsyncIterator[Sequence[Hub]], at: datetime) -> ImportCount:
        """Add hubs or replace their data, in one transaction and constant memory.

        A hub's `last_activation_at` and `membership` are not the inventory's: they stay as they are.
        An EUI that comes twice in one import: the later wins. Chunks that are `HubColumns` go in quickest.
        """
        ...
