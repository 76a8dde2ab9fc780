"""A simulated nation: Suppliers, CSPs and hubs that behave believably, the same for the same seed.

`Nation` says who and what there is, `Simulation` who means to do what and when, told what Users are told; both know
no service. A `Site` is the service that it is played against, in simulated time or in real time.
"""

from .behaviour import Plan, Simulation, Timetable
from .folder import Prepared, prepare, read_prepared
from .nation import Nation, Size
from .playing import play
from .sites import EmbeddedSite, Tally, open_service

__all__ = [
    "EmbeddedSite",
    "Nation",
    "Plan",
    "Prepared",
    "Simulation",
    "Size",
    "Tally",
    "Timetable",
    "open_service",
    "play",
    "prepare",
    "read_prepared",
]
