"""What is asked of every server that is spoken to by TLS: a certificate that an authority vouches for, and TLS 1.2."""

import ssl
from pathlib import Path


def checking_context(ca_file: Path | None) -> ssl.SSLContext:
    """Make a context that checks the server's certificate and name.

    Args:
        ca_file: PEM file of the authorities that may vouch for the server; those of the machine if None.

    Raises:
        OSError: if the file cannot be read or used (`ssl.SSLError` is one).
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # whatever the system's default is
    return context
