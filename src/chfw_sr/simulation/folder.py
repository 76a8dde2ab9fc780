"""The files of a simulated nation: keys, a Users file and an inventory, as every service takes them."""

import csv
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from chfw_sr.messages import EUI
from chfw_sr.service.registration.inventory import HUB_FIELDS
from chfw_sr.wire import Signer
from chfw_sr.wire.pki import certificate_pem, issue, key_pem, make_authority

from .nation import Nation, Size

NATION_FILE, USERS_FILE, INVENTORY_FILE = "nation.toml", "users.toml", "inventory.csv"
DCC_KEY, DCC_CERTIFICATE = "dcc.key.pem", "dcc.pem"

VALIDITY = timedelta(days=10 * 365)
"""How long certificates hold, before and after the day on which they are made."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A nation with the keys of its Users."""

    nation: Nation
    signers: dict[EUI, Signer]


def prepare(folder: Path, nation: Nation, dcc: EUI, today: datetime, written: Callable[[int], None]) -> None:
    """Write a nation: `users.toml` with certificates and keys, `inventory.csv`, and a key for the DCC.

    Keys are new every time; all else follows from the seed.

    Args:
        folder: must be empty or absent.
        nation: who and what there is.
        dcc: the DCC's EUI.
        today: certificates hold for ten years before and after.
        written: told how many hubs have been written.

    Raises:
        FileExistsError: if there is something in the folder.
        OSError: if it cannot be written.
    """
    for name in ("keys", "certificates"):
        (folder / name).mkdir(parents=True)
    authority = make_authority("Simulated authority")
    span = (today - VALIDITY, today + VALIDITY)
    tables = []
    for user in nation.users:
        certificate, key = issue(authority, user.eui, user.name[:64], *span)
        (folder / "certificates" / f"{user.eui}.pem").write_bytes(certificate_pem(certificate))
        _write_key(folder / "keys" / f"{user.eui}.pem", key_pem(key))
        table = {
            "eui": user.eui,
            "name": user.name,
            "roles": sorted(user.roles),
            "certificates": [f"certificates/{user.eui}.pem"],
        }
        if user.regions:
            table["regions"] = sorted(user.regions)
        lines = (f"{name} = {json.dumps(value)}" for name, value in table.items())
        tables.append("\n".join(("[[user]]", *lines)))
    (folder / USERS_FILE).write_text("\n\n".join(tables) + "\n", "utf-8")
    certificate, key = issue(authority, dcc, "DCC", *span)
    (folder / DCC_CERTIFICATE).write_bytes(certificate_pem(certificate))
    _write_key(folder / DCC_KEY, key_pem(key))
    _write_inventory(folder / INVENTORY_FILE, nation, written)
    size = nation.size
    (folder / NATION_FILE).write_text(
        f"seed = {nation.seed}\nhubs = {size.hubs}\nsuppliers = {size.suppliers}\nregions = {size.regions}\n", "utf-8"
    )


def _write_key(path: Path, pem: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(pem)


def _write_inventory(path: Path, nation: Nation, written: Callable[[int], None]) -> None:
    number = 0
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(HUB_FIELDS)
        for chunk in nation.hubs():
            writer.writerows([[getattr(hub, name) for name in HUB_FIELDS] for hub in chunk])
            number += len(chunk)
            written(number)


def read_prepared(folder: Path) -> Prepared:
    """Read what `prepare` wrote.

    Raises:
        ValueError: if the folder holds something else.
        OSError: if it cannot be read.
    """
    try:
        values = tomllib.loads((folder / NATION_FILE).read_text("utf-8"))
        nation = Nation(values.pop("seed"), Size(**values))
    except (KeyError, TypeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{folder / NATION_FILE}: {error}") from error
    return Prepared(
        nation,
        {
            user.eui: Signer.from_pem(
                (folder / "keys" / f"{user.eui}.pem").read_bytes(),
                (folder / "certificates" / f"{user.eui}.pem").read_bytes(),
            )
            for user in nation.users
        },
    )
