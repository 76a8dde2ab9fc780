"""The only place that wires things together. Nothing connects before it is asked to."""

from .keys import load_published_signer, load_signer
from .parts import (
    SystemClock,
    build_clockwork,
    build_processor,
    build_relay,
    create_store,
    migrate,
    open_store,
    policy_of,
)
from .replaying import open_replay, play_scenario, scenario_settings

__all__ = [
    "SystemClock",
    "build_clockwork",
    "build_processor",
    "build_relay",
    "create_store",
    "load_published_signer",
    "load_signer",
    "migrate",
    "open_replay",
    "open_store",
    "play_scenario",
    "policy_of",
    "scenario_settings",
]
