"""The DCC's signing key: from a file that nobody else can read, or from the environment."""

from pathlib import Path

from chfw_sr.keyfiles import read_private_key
from chfw_sr.settings import Settings, SettingsError
from chfw_sr.wire import Signer


def load_signer(settings: Settings) -> Signer:
    """Read the DCC's key and certificate.

    Raises:
        SettingsError: if they are not set, cannot be read, lie open to others or do not belong together.
    """
    if settings.signing_certificate is None:
        raise SettingsError("signing_key and signing_certificate are not set: nothing can be signed without them")
    try:
        return Signer.from_pem(_signing_key(settings), settings.signing_certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"signing_key, signing_certificate: {error}") from error


def load_published_signer(key: Path, certificate: Path) -> Signer:
    """Read a key that is no secret, such as a scenario's, which comes with it.

    Raises:
        SettingsError: if it cannot be read or is not the certificate's.
    """
    try:
        return Signer.from_pem(key.read_bytes(), certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"signing_key, signing_certificate: {error}") from error


def _signing_key(settings: Settings) -> bytes:
    if settings.signing_key_pem is not None:
        return settings.signing_key_pem.get_secret_value().encode()
    assert settings.signing_key is not None  # it goes with the certificate
    return read_private_key(settings.signing_key)
