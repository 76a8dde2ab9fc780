"""Which hubs proved that Users are responsible for targets of campaigns; a process remembers them across batches."""

from chfw_sr.messages import EUI

from .workspace import Part

MOST_WITNESSES = 100_000
"""Proofs that a process remembers: the oldest go first."""


class Witnesses:
    """Remembers proofs. Hubs change, so none is to be believed unless the hub still proves it.

    There are only proofs, and none of the contrary: who is not responsible is searched for every time, whether there
    is such a campaign or not.
    """

    def __init__(self) -> None:
        self._hubs: dict[Part, EUI] = {}

    def of(self, part: Part) -> EUI | None:
        """Give the hub that proved a User's part in a campaign last."""
        return self._hubs.get(part)

    def remember(self, part: Part, hub: EUI) -> None:
        """Remember what proves a part."""
        self._hubs.pop(part, None)
        if len(self._hubs) >= MOST_WITNESSES:
            del self._hubs[next(iter(self._hubs))]
        self._hubs[part] = hub
