"""`chfw-sr users`: who may send Service Requests, and with which certificates."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr.messages import instant_text
from chfw_sr.service.ports import Store, UserRecord
from chfw_sr.service.registration import read_users

from .app import command, command_group, settings_of, with_store
from .output import Json, JsonOption, note, print_json, print_table, record
from .topology import declare

users_app = command_group("users", "Register and list Users and their certificates.")


@command(users_app, "import")
def import_users(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML (*.toml) or CSV.", exists=True, dir_okay=False)],
    json_output: JsonOption = False,
) -> None:
    """Add or replace Users and their certificates.

    All or nothing. A User with the same EUI is replaced. A certificate that FILE does not name any more is withdrawn.
    Paths of certificates (PEM) are relative to FILE; the EUI in a certificate's subject must be its User's. Only eui,
    name and roles are required; status is Active or Suspended; regions are for the role CSP. A certificate under
    `revoked` is trusted no longer, with the date and time since when. Alerts go to the User's queue (channels amqp,
    the default), to its address (email), or to both (both). Where amqp_url is set, their queues are made too.

    TOML:
      [[user]]
      eui = "90-B3-D5-1F-30-01-00-00"
      name = "Alpha Energy"
      roles = ["IS", "GS"]
      status = "Active"
      certificates = ["alpha.pem"]
      revoked = { "alpha-old.pem" = 2026-01-31T12:00:00Z }
      channels = "both"
      email = "operations@alpha.example"

    CSV (several values are joined by ;):
      eui,name,roles,status,regions,certificates,revoked,email,channels
      90-B3-D5-1F-30-01-00-00,Alpha Energy,IS;GS,Active,,alpha.pem,alpha-old.pem=2026-01-31T12:00:00Z,o@a.example,both
      90-B3-D5-1F-30-07-00-00,North Comms,CSP,Active,North,north.pem,,,

    Example:
      chfw-sr users import pki/users.toml
    """
    records = read_users(file)

    async def save(store: Store) -> None:
        await store.register.save_users(records, datetime.now(UTC))

    with_store(context, save)
    certificates = sum(len(each.certificates) for each in records)
    if json_output:
        print_json({"users": len(records), "certificates": certificates})
    note(f"{len(records)} users with {certificates} certificates are registered")
    settings = settings_of(context)
    if settings.amqp_url is not None:
        declare(settings, [each.user.eui for each in records])


@command(users_app, "list")
def list_users(context: typer.Context, json_output: JsonOption = False) -> None:
    """List all Users in order of EUI.

    Example:
      chfw-sr users list --json
    """

    async def users(store: Store) -> Sequence[UserRecord]:
        return await store.register.users()

    found = with_store(context, users)
    if json_output:
        print_json([_user(each) for each in found])
        return
    rows = [
        (
            each.user.eui,
            each.user.name,
            each.user.roles,
            each.user.status,
            each.user.regions,
            sum(trusted.revoked_at is None for trusted in each.certificates),
            sum(trusted.revoked_at is not None for trusted in each.certificates),
            each.contact.channels,
            each.contact.email,
        )
        for each in found
    ]
    print_table(("EUI", "name", "roles", "status", "regions", "certificates", "revoked", "channels", "email"), rows)


def _user(each: UserRecord) -> dict[str, Json]:
    certificates: list[Json] = [
        {
            "issuer": trusted.certificate.issuer.rfc4514_string(),
            "serial_number": str(trusted.certificate.serial_number),
            "not_before": instant_text(trusted.certificate.not_valid_before_utc),
            "not_after": instant_text(trusted.certificate.not_valid_after_utc),
            "revoked_at": instant_text(trusted.revoked_at) if trusted.revoked_at else None,
        }
        for trusted in each.certificates
    ]
    contact: dict[str, Json] = {"channels": each.contact.channels.value, "email": each.contact.email}
    return record(each.user) | contact | {"certificates": certificates}
