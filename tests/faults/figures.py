"""What the plays measured, as a table."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fleet import Fleet
    from .ledger import Ledger, Verdict

TARGET = "CHFW_SR_TEST_FIGURES"
"""Names a file that gets the table; it is written anew after each play."""


@dataclass
class Row:
    """One play.

    Attributes:
        faults: what was done to the service, with how often.
        requests: how many were sent; `copies` counts the repetitions among them too.
        alerts: how many different alerts arrived.
        duplicates: messages that arrived again with identical octets; by the contract they may.
    """

    name: str
    faults: str = ""
    requests: int = 0
    copies: int = 0
    alerts: int = 0
    duplicates: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    seconds: float = 0.0


class Figures:
    """The rows so far."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def begin(self, name: str) -> None:
        self.rows.append(Row(name))

    def faults(self, what: str) -> None:
        """Say what was done in the play that goes on."""
        self.rows[-1].faults = what

    def note(self, ledger: "Ledger", fleet: "Fleet", verdict: "Verdict", seconds: float) -> None:
        """Write down how the play that goes on ended."""
        row = self.rows[-1]
        row.requests, row.copies = len(ledger.requests), ledger.copies
        row.alerts, row.duplicates = len(ledger.alerts), ledger.duplicates
        row.counts, row.crashes, row.seconds = verdict.counts, len(fleet.exits), seconds
        if target := os.environ.get(TARGET):
            Path(target).write_text(self.table(), encoding="utf-8")

    def table(self) -> str:
        """Give all rows in Markdown."""
        names = ("lost", "doubled", "ghosts", "stuck", "inversions", "altered", "wrong")
        heads = ("play", "faults", "requests", "sent", "alerts", *names, "crashes", "delivered again", "seconds")
        lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * 2 + "--:|" * (len(heads) - 2)]
        for row in self.rows:
            cells = asdict(row)
            values = (
                *(cells[name] for name in ("name", "faults", "requests", "copies", "alerts")),
                *(row.counts.get(name, "-") for name in names),
                row.crashes,
                row.duplicates,
                f"{row.seconds:.0f}",
            )
            lines.append("| " + " | ".join(map(str, values)) + " |")
        return "\n".join(lines) + "\n"
