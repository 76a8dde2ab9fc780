"""Batches of deliveries: as they were taken in, and when their fate is committed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chfw_sr.wire import Attributed, Unattributed

from .correspondents import Correspondents
from .outcome import Outcome
from .ports import Delivery


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery on its way: its place in the batch and what the intake made of it."""

    place: int
    delivery: Delivery
    intake: Attributed | Unattributed


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries that were taken in.

    Attributes:
        deliveries: all of them.
        taken: those that the intake made something of.
        defects: what it raised about the others, by their places: a defect of ours.
        known: by whose certificates they were taken in.
        seconds: that it took.
    """

    deliveries: Sequence[Delivery]
    taken: Sequence[Taken]
    defects: Mapping[int, Exception]
    known: Correspondents
    seconds: float

    @classmethod
    def joined(cls, batches: "Sequence[Batch]") -> "Batch":
        """Put batches together in their order; what the first one was taken in by has to hold for all.

        Args:
            batches: at least one, in the order in which they were taken in.
        """
        if len(batches) == 1:
            return batches[0]
        deliveries: list[Delivery] = []
        taken: list[Taken] = []
        defects: dict[int, Exception] = {}
        for batch in batches:
            first = len(deliveries)
            deliveries += batch.deliveries
            taken += [Taken(first + one.place, one.delivery, one.intake) for one in batch.taken]
            defects |= {first + place: error for place, error in batch.defects.items()}
        return cls(deliveries, taken, defects, batches[0].known, sum(batch.seconds for batch in batches))


@dataclass(frozen=True, slots=True)
class Settled:
    """A batch whose fate is committed.

    Attributes:
        outcomes: one a delivery, in their order.
        seconds: that it took to take it in and to settle it.
    """

    outcomes: Sequence[Outcome]
    seconds: float
