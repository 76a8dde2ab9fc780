"""`chfw-sr pki`: a test authority, and DUIS-style certificates and keys for Users. Not for live systems."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chfw_sr.campaign.model import User
from chfw_sr.keyfiles import read_private_key
from chfw_sr.messages import EUI, Region, Role, UserStatus
from chfw_sr.service.registration import read_users, regions_fault
from chfw_sr.wire import pki

from .app import CommandError, ExitCode, command, command_group
from .hubs import eui_argument
from .output import note
from .report import read_instant

pki_app = command_group("pki", "Make a test authority, certificates and keys. Not for live systems.")

AUTHORITY_CERTIFICATE = "authority.pem"
AUTHORITY_KEY = "authority.key.pem"
USERS_FILE = "users.toml"

_PUBLIC = 0o644
_PRIVATE = 0o600

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the authority.", file_okay=False)]


@command(pki_app, "init")
def init(
    folder: FolderArgument,
    name: Annotated[str, typer.Option(help="Common name of the authority.")] = "chfw-sr test authority",
) -> None:
    """Make a test authority: DIR/authority.pem and its private key DIR/authority.key.pem (mode 0600).

    What is there already is never overwritten.

    Example:
      chfw-sr pki init pki
      chfw-sr pki issue pki --eui 90-B3-D5-1F-30-01-00-00 --name "Alpha Energy" --role IS
      chfw-sr users import pki/users.toml
    """
    try:
        authority = pki.make_authority(name)
    except ValueError as error:
        raise CommandError(f"--name: {error}", ExitCode.USAGE) from error
    _refuse_existing([folder / AUTHORITY_CERTIFICATE, folder / AUTHORITY_KEY])
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / AUTHORITY_KEY, pki.key_pem(authority.key), _PRIVATE)
    _write(folder / AUTHORITY_CERTIFICATE, pki.certificate_pem(authority.certificate), _PUBLIC)
    note(f"made {folder / AUTHORITY_CERTIFICATE} and its key")


@command(pki_app, "issue")
def issue(
    folder: FolderArgument,
    users: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Issue to every User of FILE.", exists=True, dir_okay=False)
    ] = None,
    eui: Annotated[EUI | None, typer.Option(parser=eui_argument, metavar="EUI", help="Issue to this EUI.")] = None,
    name: Annotated[str | None, typer.Option(help="Common name of the holder; with --eui.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="Role of the User; with --eui; may be repeated.")] = None,
    region: Annotated[list[Region] | None, typer.Option(help="Region of a CSP; with --eui; may be repeated.")] = None,
    days: Annotated[int, typer.Option(min=1, max=36500, help="How long the certificates hold.")] = 365,
    start: Annotated[
        datetime | None,
        typer.Option("--from", parser=read_instant, metavar="DATETIME", help="From when on; by default, now."),
    ] = None,
) -> None:
    """Issue certificates and keys, for one User or for all of a Users file (as `users import` reads it).

    Writes DIR/EUI.pem and DIR/EUI.key.pem (mode 0600) and adds the User to DIR/users.toml, ready to be imported. An
    EUI without a role (the DCC's own, say) gets its certificate, but is no User. What is there already is never
    overwritten.

    Example:
      chfw-sr pki issue pki --eui 90-B3-D5-1F-30-01-00-00 --name "Alpha Energy" --role IS --role GS
      chfw-sr pki issue pki --users parties.csv --days 730
    """
    if users is not None:
        if eui or name or role or region:
            raise CommandError("--users stands alone: name, roles and regions are in the file", ExitCode.USAGE)
        holders = [record.user for record in read_users(users, with_certificates=False)]
    else:
        holders = [_holder(eui, name, role or [], region or [])]
    authority = _load_authority(folder)
    targets = [folder / f"{holder.eui}{ending}" for holder in holders for ending in (".pem", ".key.pem")]
    _refuse_existing(targets)
    begin = start or datetime.now(UTC)
    try:
        end = begin + timedelta(days=days)
        issued = [(holder, *pki.issue(authority, holder.eui, holder.name, begin, end)) for holder in holders]
    except (ValueError, OverflowError) as error:
        raise CommandError(f"no certificate can be issued like this: {error}", ExitCode.USAGE) from error
    for holder, certificate, key in issued:
        _write(folder / f"{holder.eui}.key.pem", pki.key_pem(key), _PRIVATE)
        _write(folder / f"{holder.eui}.pem", pki.certificate_pem(certificate), _PUBLIC)
    note(f"issued {len(issued)} certificates")
    if registered := [holder for holder in holders if holder.roles]:
        _register(folder / USERS_FILE, registered)
        note(f"import the Users with: chfw-sr users import {folder / USERS_FILE}")


def _holder(eui: EUI | None, name: str | None, roles: Sequence[Role], regions: Sequence[Region]) -> User:
    if eui is None or name is None:
        raise CommandError("give --eui and --name, or --users FILE", ExitCode.USAGE)
    user = User(eui, name, frozenset(roles), UserStatus.ACTIVE, frozenset(regions))
    if fault := regions_fault(user.roles, user.regions):
        raise CommandError(f"--region: {fault}", ExitCode.USAGE)
    return user


def _load_authority(folder: Path) -> pki.Authority:
    certificate, key_file = folder / AUTHORITY_CERTIFICATE, folder / AUTHORITY_KEY
    if not certificate.exists() or not key_file.exists():
        raise CommandError(f"{folder}: no authority here; run: chfw-sr pki init {folder}", ExitCode.USAGE)
    try:
        key = serialization.load_pem_private_key(read_private_key(key_file), None)
        found = pki.read_certificate(certificate.read_bytes())
    except (ValueError, TypeError) as error:
        raise CommandError(f"{folder}: the authority cannot be read: {error}", ExitCode.USAGE) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != found.public_key():
        raise CommandError(f"{folder}: {AUTHORITY_KEY} is not the key of {AUTHORITY_CERTIFICATE}", ExitCode.USAGE)
    return pki.Authority(found, key)


def _refuse_existing(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.exists():
            raise CommandError(f"{path}: exists already and is not overwritten; move it away first", ExitCode.USAGE)


def _write(path: Path, octets: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)


def _register(path: Path, users: Sequence[User]) -> None:
    blocks = [
        "\n".join(
            [
                "[[user]]",
                f"eui = {_toml(user.eui)}",
                f"name = {_toml(user.name)}",
                f"roles = {_toml(sorted(user.roles))}",
                f"status = {_toml(user.status)}",
                *([f"regions = {_toml(sorted(user.regions))}"] if user.regions else []),
                f"certificates = {_toml([f'{user.eui}.pem'])}",
            ]
        )
        for user in users
    ]
    with path.open("a", encoding="utf-8") as file:
        for block in blocks:
            file.write(("\n" if file.tell() else "") + block + "\n")


def _toml(value: str | list[str]) -> str:
    """Write a text or a list of texts as TOML: in that much, it is JSON."""
    return json.dumps(value, ensure_ascii=False)
