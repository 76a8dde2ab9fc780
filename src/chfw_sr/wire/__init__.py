"""The wire: octets to messages and messages to octets, as wire contract §1 and §3 to §6 have them.

In:  octets → `parse` → `Parsed` → `Schemas.validate` → `Valid`; `verify` → `Signed`; both together are `Verified`, and
only that is read: `read_request` → `ServiceRequest`. A stage that is skipped is a type error. `Intake` walks all of it,
in the order of §6, and knows no other end than `Attributed` and `Unattributed`.

Out: `write_response` and `write_alert` (`write_request` for those who send) → octets in canonical form, signed by a
`Signer`.

Synchronous; reads nothing but the schemas, once. Everything here may be called from any number of threads.
"""

from lxml import etree

from .intake import Attributed, Intake, Unattributed
from .parse import Limits, Parsed, parse
from .reader import read_alert, read_request, read_response
from .schema import Schemas, Valid
from .signature import Signed, Signer, Verified, verify
from .trust import TrustedCertificate, TrustStore, holder_eui
from .writer import write_alert, write_alerts, write_request, write_response, write_responses

__all__ = [
    "Attributed",
    "Intake",
    "Limits",
    "Parsed",
    "Schemas",
    "Signed",
    "Signer",
    "TrustStore",
    "TrustedCertificate",
    "Unattributed",
    "Valid",
    "Verified",
    "check_libxml2",
    "holder_eui",
    "parse",
    "read_alert",
    "read_request",
    "read_response",
    "verify",
    "write_alert",
    "write_alerts",
    "write_request",
    "write_response",
    "write_responses",
]

OLDEST_LIBXML2 = (2, 12, 0)
"""Since this version the parser looks attributes and namespaces up in hash tables: hostile ones cost linear time."""


def check_libxml2(version: tuple[int, ...] = etree.LIBXML_VERSION) -> None:
    """Check at start-up that lxml's libxml2 is safe to feed with hostile octets.

    Args:
        version: what is in use.

    Raises:
        RuntimeError: if it is older than `OLDEST_LIBXML2`.
    """
    if version < OLDEST_LIBXML2:
        needed, found = (".".join(map(str, each)) for each in (OLDEST_LIBXML2, version))
        raise RuntimeError(f"lxml uses libxml2 {found}; at least {needed} is needed")
