"""`chfw-sr report`: how campaigns stand, as text, JSON, CSV, or a page to look at."""

from .command import AtOption, read_instant
from .summary import COUNTS, PhaseSummary, summarise

__all__ = ["COUNTS", "AtOption", "PhaseSummary", "read_instant", "summarise"]
