"""A client from files: what an adapter's command line or settings name."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from chfw_sr.keyfiles import read_private_key
from chfw_sr.messages import EUI
from chfw_sr.wire import Signer, holder_eui

from .client import Client
from .journal import Journal
from .reading import load_trust
from .transport import Transport


@dataclass(frozen=True, slots=True)
class Access:
    """Who a User is, in files.

    Attributes:
        user: the User's EUI.
        dcc: the DCC's EUI.
        dcc_certificates: PEM files of the DCC's certificates, or folders of them; several while one replaces another.
        journal: the file that remembers what was sent and told, made if it is not there; `:memory:` forgets.
        key: PEM file of the User's private key, which nobody else may be able to read; None for who only subscribes.
        certificate: PEM file of its certificate.
    """

    user: EUI
    dcc: EUI
    dcc_certificates: Sequence[Path]
    journal: Path
    key: Path | None = None
    certificate: Path | None = None


def load_signer(user: EUI, key: Path, certificate: Path) -> Signer:
    """Read a User's key and certificate.

    Args:
        user: whose they must be.
        key: PEM file of the private key; nobody else may be able to read it.
        certificate: PEM file of its certificate.

    Raises:
        OSError: if a file cannot be read.
        ValueError: naming the file, if it cannot be used, is not safe, or is another's.
    """
    key_pem, pem = read_private_key(key), certificate.read_bytes()
    try:
        signer = Signer.from_pem(key_pem, pem)
        holder = holder_eui(x509.load_pem_x509_certificate(pem))
    except ValueError as error:
        raise ValueError(f"{key}, {certificate}: {error}") from error
    if holder != user:
        raise ValueError(f"{certificate}: it is {holder}'s, not {user}'s")
    return signer


@asynccontextmanager
async def open_client(access: Access, transport: Transport) -> AsyncIterator[Client]:
    """Run a client with the keys and the journal of these files.

    Args:
        access: who we are.
        transport: the way to the DCC.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file cannot be used.
        JournalError: if the journal cannot.
    """
    signer = None
    if access.key is not None and access.certificate is not None:
        signer = load_signer(access.user, access.key, access.certificate)
    trust = load_trust(access.dcc, access.dcc_certificates)
    with Journal(access.journal) as journal:
        async with Client(
            user=access.user, dcc=access.dcc, signer=signer, trust=trust, transport=transport, journal=journal
        ) as client:
            yield client
