"""Reads Users files and inventory files into domain values. Stores nothing; every fault names its line and field."""

from .faults import InvalidFile, Problem
from .inventory import HUB_FIELDS, InventoryChunk, read_inventory
from .users import USER_FIELDS, read_users, regions_fault

__all__ = [
    "HUB_FIELDS",
    "USER_FIELDS",
    "InvalidFile",
    "InventoryChunk",
    "Problem",
    "read_inventory",
    "read_users",
    "regions_fault",
]
