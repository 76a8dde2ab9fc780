"""What `send` and `alerts` have in common: keys, certificates and the journal of the User that they speak for."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr.bootstrap.buses import server_of
from chfw_sr.client import Client, ClientStopped, JournalError, NotPermitted
from chfw_sr.client.opening import Access, open_client
from chfw_sr.messages import EUI
from chfw_sr.settings import Settings

from .app import CommandError, ExitCode

KeyOption = Annotated[
    Path | None, typer.Option(metavar="PEM", help="The User's private key; by default, the setting user_key.")
]
CertificateOption = Annotated[
    Path | None, typer.Option(metavar="PEM", help="Its certificate; by default, the setting user_certificate.")
]
DccCertificateOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PEM", help="The DCC's certificate; may be repeated; by default, the setting dcc_certificates."
    ),
]
JournalOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Remembers what was sent and told; by default, EUI.journal in this folder."),
]


def access_of(
    settings: Settings,
    user: EUI,
    dcc_certificates: Sequence[Path] | None,
    journal: Path | None,
    *,
    key: Path | None = None,
    certificate: Path | None = None,
) -> Access:
    """Put together who a User is, from options and, where they say nothing, settings.

    Raises:
        CommandError: if a certificate of the DCC is missing, or a key comes without its certificate.
    """
    trusted = tuple(dcc_certificates or settings.dcc_certificates)
    if not trusted:
        raise CommandError(
            "which certificate is the DCC's? Give --dcc-certificate PEM, or set dcc_certificates", ExitCode.USAGE
        )
    key, certificate = key or settings.user_key, certificate or settings.user_certificate
    if (key is None) != (certificate is None):
        raise CommandError("--key and --certificate go together", ExitCode.USAGE)
    return Access(user, settings.dcc_eui, trusted, journal or Path(f"{user}.journal"), key, certificate)


@asynccontextmanager
async def client_of(settings: Settings, access: Access, *, own_copies: bool = False) -> AsyncIterator[Client]:
    """Run a client of this User on the RabbitMQ of the settings.

    Raises:
        SettingsError: if the settings name no RabbitMQ.
        CommandError: if a file cannot be used, the bus does not permit it, or the client has met a defect.
    """
    from chfw_sr.client.rabbitmq import RabbitTransport  # noqa: PLC0415 - the AMQP client takes a while to import

    transport = RabbitTransport(
        server_of(settings, f"chfw-sr client of {access.user}"), access.user, own_copies=own_copies
    )
    try:
        async with open_client(access, transport) as client:
            yield client
    except (ValueError, JournalError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    except ClientStopped as error:
        if isinstance(error.__cause__, NotPermitted):
            raise CommandError(f"{error.__cause__}; try --take", ExitCode.USAGE) from error
        raise
