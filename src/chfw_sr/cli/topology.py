"""`chfw-sr topology`: RabbitMQ's exchanges and queues, and what the accounts of Users may do there."""

import asyncio
from collections.abc import Sequence

import typer

from chfw_sr import bootstrap
from chfw_sr.bootstrap.accounts import apply_permissions, check_permissions, permissions_of, vhost_of
from chfw_sr.bootstrap.buses import TopologyMissing, apply_topology, check_topology
from chfw_sr.messages import EUI
from chfw_sr.settings import Settings

from .app import CommandError, command, command_group, settings_of
from .output import Json, JsonOption, note, print_json, record

topology = command_group("topology", "RabbitMQ's exchanges and queues, and what Users may do there.")


@command(topology, "apply")
def apply(context: typer.Context) -> None:
    """Make every exchange and queue that is not there yet, those of every registered User among them.

    Where amqp_management_url is set, each User's account (its name is the User's EUI) is permitted to publish requests
    and to read its own two queues, and nothing else; see `topology permissions`. Accounts themselves are not made.

    Doing it twice does no harm; nothing is ever deleted, and only permissions are ever changed. users import does the
    same for its Users.

    Example:
      chfw-sr topology apply
    """
    declare(settings_of(context), _users(context))


def declare(settings: Settings, users: Sequence[EUI]) -> None:
    """Make on RabbitMQ what is not there yet, for the service and for these Users, and permit what they may do.

    Raises:
        SettingsError: if the settings cannot be used.
        CommandError: if the server refuses something.
        Unavailable: if the server cannot be reached.
    """
    try:
        made = asyncio.run(apply_topology(settings, users))
        note(f"{len(made.exchanges)} exchanges and {len(made.queues)} queues are there, for {len(users)} Users")
        if settings.amqp_management_url is None:
            return
        findings = asyncio.run(apply_permissions(settings, users))
    except TopologyMissing as error:
        raise CommandError(f"RabbitMQ refuses: {error}") from error
    for finding in findings:
        note(f"warning: {finding}")
    note(f"the accounts of {len(users)} Users may do what they need and no more, but for {len(findings)} finding(s)")


@command(topology, "check")
def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print what is missing or different on RabbitMQ; exit code 1 if anything is. Changes nothing.

    Where amqp_management_url is set, also whose account is missing, permitted otherwise, or has tags.

    Example:
      chfw-sr topology check --json
    """
    settings = settings_of(context)
    users = _users(context)
    found: list[dict[str, Json]] = [
        {"item": str(each.item), "defect": str(each.defect), "detail": each.detail or None, "text": str(each)}
        for each in asyncio.run(check_topology(settings, users))
    ]
    if settings.amqp_management_url is not None:
        try:
            accounts = asyncio.run(check_permissions(settings, users))
        except TopologyMissing as error:
            raise CommandError(f"RabbitMQ refuses: {error}") from error
        found += [
            {
                "item": f"account {each.account}",
                "defect": str(each.wrong),
                "detail": each.detail or None,
                "text": str(each),
            }
            for each in accounts
        ]
    texts = [str(each.pop("text")) for each in found]
    if as_json:
        print_json(found)
    else:
        for text in texts:
            typer.echo(text)
    if found:
        raise CommandError(f"{len(found)} finding(s); run: chfw-sr topology apply")
    note("everything is there")


@command(topology, "permissions")
def permissions(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print what each User's account may do, as rabbitmqctl commands. Changes nothing, and asks RabbitMQ nothing.

    For a RabbitMQ without the management plugin, or whose administrator does this by hand. The name of a User's account
    is its EUI. The virtual host is that of amqp_url.

    Example:
      chfw-sr topology permissions | sh
      chfw-sr topology permissions --json
    """
    vhost, permitted = vhost_of(settings_of(context)), permissions_of(_users(context))
    if as_json:
        print_json([record(each) | {"vhost": vhost} for each in permitted])
        return
    for each in permitted:
        typer.echo(each.command(vhost))


def _users(context: typer.Context) -> Sequence[EUI]:
    async def users() -> Sequence[EUI]:
        async with bootstrap.open_store(settings_of(context)) as store:
            return [record.user.eui for record in await store.register.users()]

    return asyncio.run(users())
