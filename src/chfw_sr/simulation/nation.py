"""Who there is in a simulated nation, and which hubs: made anew from the seed whenever it is asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random

from chfw_sr.campaign.model import Hub, User
from chfw_sr.messages import EUI, HubStatus, Region, Role

MANUFACTURER, MODEL = "Wharfedale Instruments", "WH520"
OLD_VERSION, NEW_VERSION = "03010002", "03020001"

CHUNK = 5_000
"""Hubs that are made at once."""

MAX_SUPPLIERS = 200

_REGIONS = ((Region.NORTH, 25), (Region.CENTRAL, 45), (Region.SOUTH, 30))
"""Regions with their shares of the hubs, of a hundred."""

_FIRST = ("Albion", "Beacon", "Calder", "Dunlin", "Ember", "Fathom", "Gannet", "Harbour", "Ingle", "Juniper")
_SECOND = ("Energy", "Power", "Gas and Light", "Utilities", "Home Energy")

_OTHER_GAS_SUPPLIER, _NO_GAS = 0.18, 0.16
"""Shares of hubs whose gas comes from another Supplier, and of those without gas."""

_NOT_COMMISSIONED = 0.02


@dataclass(frozen=True, slots=True)
class Size:
    """How large the nation is.

    Raises:
        ValueError: if a number cannot be.
    """

    hubs: int = 10_000
    suppliers: int = 12
    regions: int = 3

    def __post_init__(self) -> None:
        if self.hubs < 1 or not 1 <= self.suppliers <= MAX_SUPPLIERS or not 1 <= self.regions <= len(_REGIONS):
            raise ValueError(
                f"a nation has at least 1 hub, 1 to {MAX_SUPPLIERS} Suppliers and 1 to {len(_REGIONS)} regions"
            )


def _eui(block: int, number: int) -> EUI:
    return EUI("-".join(f"{octet:02X}" for octet in bytes((0x90, 0xB3, 0xD5, 0x1F, block)) + number.to_bytes(3)))


def hub_eui(number: int) -> EUI:
    """Name a hub; EUIs grow with their numbers."""
    return EUI("-".join(f"{octet:02X}" for octet in bytes((0x02, 0x5C, 0x10)) + number.to_bytes(5)))


class Nation:
    """Users and hubs.

    Args:
        seed: decides about everything.
        size: how many of each.
    """

    def __init__(self, seed: int, size: Size) -> None:
        self.seed = seed
        self.size = size
        self.regions = tuple(region for region, _ in _REGIONS[: size.regions])
        self.operator = User(_eui(0x31, 1), "DCC operations", frozenset({Role.DCC}))

    @cached_property
    def suppliers(self) -> tuple[User, ...]:
        """Give the Suppliers, the largest first."""
        random = Random(f"{self.seed} suppliers")  # noqa: S311 - a simulation is to be repeatable
        names = [f"{first} {second}" for second in _SECOND for first in _FIRST]
        random.shuffle(names)
        return tuple(
            User(
                _eui(0x32, number),
                names[number] if number < len(names) else f"{names[number % len(names)]} {number // len(names) + 1}",
                frozenset({Role.IS, Role.GS}),
            )
            for number in range(self.size.suppliers)
        )

    @cached_property
    def providers(self) -> dict[Region, User]:
        """Give the CSP of each region."""
        return {
            region: User(_eui(0x33, number), f"CSP {region}", frozenset({Role.CSP}), regions=frozenset({region}))
            for number, region in enumerate(self.regions)
        }

    @cached_property
    def networks(self) -> dict[Region, tuple[User, User]]:
        """Give the electricity distributor and the gas transporter of each region."""
        return {
            region: (
                User(_eui(0x34, number), f"{region} Electricity Networks", frozenset({Role.ED})),
                User(_eui(0x35, number), f"{region} Gas Networks", frozenset({Role.GT})),
            )
            for number, region in enumerate(self.regions)
        }

    @property
    def users(self) -> tuple[User, ...]:
        """Give everybody."""
        networks = (user for pair in self.networks.values() for user in pair)
        return (self.operator, *self.suppliers, *self.providers.values(), *networks)

    @cached_property
    def _market(self) -> Sequence[float]:
        """Give the Suppliers' shares of the market, added up: the second has half of the first's, and so on."""
        return list(accumulate(1 / (number + 1) for number in range(self.size.suppliers)))

    def hubs(self) -> Iterator[Sequence[Hub]]:
        """Give every hub, in order of EUI, some thousands at a time."""
        for first in range(0, self.size.hubs, CHUNK):
            random = Random(f"{self.seed} hubs {first}")  # noqa: S311 - see above
            yield [self._hub(number, random) for number in range(first, min(first + CHUNK, self.size.hubs))]

    def _hub(self, number: int, random: Random) -> Hub:
        shares = [share for _, share in _REGIONS[: self.size.regions]]
        (region,) = random.choices(self.regions, shares)
        (supplier,) = random.choices(self.suppliers, cum_weights=self._market)
        distributor, transporter = self.networks[region]
        chance = random.random()
        gas: User | None = supplier
        if chance < _NO_GAS:
            gas = None
        elif chance < _NO_GAS + _OTHER_GAS_SUPPLIER:
            (gas,) = random.choices(self.suppliers, cum_weights=self._market)
        commissioned = random.random() >= _NOT_COMMISSIONED
        return Hub(
            hub_eui(number),
            MANUFACTURER,
            MODEL,
            OLD_VERSION,
            region,
            HubStatus.COMMISSIONED if commissioned else HubStatus.SUSPENDED,
            import_supplier=supplier.eui,
            gas_supplier=gas.eui if gas else None,
            electricity_distributor=distributor.eui,
            gas_transporter=transporter.eui if gas else None,
        )
