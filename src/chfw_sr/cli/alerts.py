"""`chfw-sr alerts`: what a User is told, as it comes."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr.client import ContradictoryAlert, ReceivedAlert
from chfw_sr.client.opening import Access
from chfw_sr.messages import EUI, AlertCode, instant_text
from chfw_sr.settings import Settings

from .access import DccCertificateOption, JournalOption, access_of, client_of
from .app import CommandError, ExitCode, command, command_group, settings_of
from .hubs import eui_argument
from .output import Json, cell, note, record, visible

alerts = command_group("alerts", "What a User is told, as it comes.")

FORGETFUL = Path(":memory:")


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which alerts are shown, and how many of them."""

    codes: frozenset[AlertCode]
    campaign: str | None
    count: int | None

    def lets(self, alert: ReceivedAlert) -> bool:
        """Tell whether an alert is shown."""
        return (not self.codes or alert.code in self.codes) and self.campaign in {None, alert.campaign_id}


@command(alerts, "tail")
def tail(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    user: Annotated[EUI, typer.Option(parser=eui_argument, metavar="EUI", help="Whose alerts.")],
    code: Annotated[list[AlertCode] | None, typer.Option(help="Show this code only; may be repeated.")] = None,
    campaign: Annotated[str | None, typer.Option(metavar="ID", help="Show this campaign only.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many; by default, never.")] = None,
    take: Annotated[
        bool, typer.Option("--take", help="Take them from the User's queue: no other subscriber sees them then.")
    ] = False,
    dcc_certificate: DccCertificateOption = None,
    journal: JournalOption = None,
    amqp: Annotated[str | None, typer.Option(metavar="URL", help="RabbitMQ: amqp://… or amqps://….")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each.")] = False,
) -> None:
    """Follow a User's alerts: print each as it comes, once the DCC's signature is verified.

    What is shown is a copy of what comes from now on; nothing is taken away from the User's own subscriber. That needs
    an account that may declare and bind queues, the service's own for instance.

    A User's account may only read its queue: with --take, alerts are taken from there, those that wait included, and
    acknowledged once they are printed. The journal remembers them, so that repeats are not shown, and keeps what cannot
    be believed.

    Example:
      chfw-sr alerts tail --user 90-B3-D5-1F-30-01-00-00 --dcc-certificate dcc.pem --code N64 --json
    """
    wanted = _Filter(frozenset(code or ()), campaign, count)
    if take and (wanted.codes or campaign):
        raise CommandError("--take acknowledges every alert: leave out --code and --campaign", ExitCode.USAGE)
    if journal is not None and not take:
        raise CommandError("--journal is for --take; copies need none", ExitCode.USAGE)
    settings = settings_of(context, {"amqp_url": amqp})
    access = access_of(settings, user, dcc_certificate, journal if take else FORGETFUL)
    with suppress(KeyboardInterrupt):  # the usual end
        asyncio.run(_follow(settings, access, wanted, take=take, as_json=json_output))


async def _follow(settings: Settings, access: Access, wanted: _Filter, *, take: bool, as_json: bool) -> None:
    shown = 0
    async with client_of(settings, access, own_copies=not take) as client, client.alerts() as found:
        while wanted.count is None or shown < wanted.count:
            try:
                (alert,) = await found.take(1)
            except ContradictoryAlert as error:
                note(f"error: {error}")
                continue
            if wanted.lets(alert):
                typer.echo(_as_json(alert) if as_json else _line(alert))
                shown += 1


def _as_json(alert: ReceivedAlert) -> str:
    found: dict[str, Json] = {
        "id": str(alert.id),
        "code": str(alert.code),
        "at": instant_text(alert.at),
        "campaign_id": alert.campaign_id,
        "body": record(alert.body),
    }
    return json.dumps(found, ensure_ascii=False)


def _line(alert: ReceivedAlert) -> str:
    said = ", ".join(f"{name}={_short(cell(value))}" for name, value in record(alert.body).items() if value is not None)
    return visible(f"{instant_text(alert.at)}  {alert.code:<4}  {said}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
