"""The accounts of Users on RabbitMQ: permitted by its management API, where the settings name one."""

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from chfw_sr.broker import permissions
from chfw_sr.broker.permissions import AccountFinding, Management, ManagementRefused, Permission
from chfw_sr.messages import EUI
from chfw_sr.settings import Settings, SettingsError

from .buses import TopologyMissing, server_of


def vhost_of(settings: Settings) -> str:
    """Give the virtual host in which the service works; RabbitMQ's first one where `amqp_url` names none or is not set.

    Raises:
        SettingsError: if `amqp_url` cannot be used.
    """
    if settings.amqp_url is None:
        return "/"
    return unquote(server_of(settings).url.path[1:]) or "/"


def permissions_of(users: Sequence[EUI]) -> Sequence[Permission]:
    """Give what each User's account may do, in order of EUI."""
    return [Permission.of_user(eui) for eui in sorted(set(users))]


async def apply_permissions(settings: Settings, users: Sequence[EUI]) -> Sequence[AccountFinding]:
    """Permit to each User's account what it may do; give what that could not cure.

    Raises:
        SettingsError: if the settings cannot be used.
        TopologyMissing: if the management API refuses it.
        Unavailable: if it does not answer.
    """
    return await _managed(permissions.apply, settings, users)


async def check_permissions(settings: Settings, users: Sequence[EUI]) -> Sequence[AccountFinding]:
    """Say what is wrong with the accounts of Users; nothing is changed.

    Raises:
        SettingsError, TopologyMissing, Unavailable: as `apply_permissions`.
    """
    return await _managed(permissions.check, settings, users)


async def _managed(
    work: Callable[[Management, str, Sequence[EUI]], Sequence[AccountFinding]], settings: Settings, users: Sequence[EUI]
) -> Sequence[AccountFinding]:
    management = _management_of(settings)
    try:
        return await asyncio.to_thread(work, management, vhost_of(settings), users)
    except ManagementRefused as error:
        raise TopologyMissing(str(error)) from error


def _management_of(settings: Settings) -> Management:
    if settings.amqp_management_url is None:
        raise SettingsError("amqp_management_url is not set: where is RabbitMQ's management API?")
    try:
        return Management.parse(settings.amqp_management_url.get_secret_value(), ca_file=settings.amqp_ca_file)
    except ValueError as error:
        raise SettingsError(f"amqp_management_url: {error}") from error
