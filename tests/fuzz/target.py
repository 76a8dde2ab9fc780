"""What every fuzzer calls: octets → request, and what must hold whatever the octets are.

Each input is taken twice: as it is, and signed by a User whose key we have, where it can be signed, so that what lies
behind the signature is reached as well. The keys are the public ones of `fixtures/keys`, so that an input means the
same on every machine.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from chfw_sr.messages import Rejected, RequestID, ServiceRequest
from chfw_sr.wire import Attributed, Intake, Limits, Schemas, Signer, TrustStore, Unattributed, parse, write_request
from chfw_sr.wire.canonical import content
from chfw_sr.wire.namespaces import SIGNATURE

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "fixtures" / "keys"
CORPUS = Path(__file__).parent / "corpus"
NOW = datetime(2027, 6, 1, tzinfo=UTC)

UNSIGNED_CODES = frozenset({"E900", "E901", "E902", "E905"})
SIGNED_CODES = frozenset({"E901", "E905"})


class BrokenError(AssertionError):
    """Something that must hold does not: a defect, for the fuzzer to keep."""


def certificate(name: str) -> x509.Certificate:
    """Load one of the test certificates."""
    return x509.load_pem_x509_certificate((KEYS / f"{name}.pem").read_bytes())


def signer(name: str) -> Signer:
    """Load one of the test keys with its certificate."""
    return Signer.from_pem((KEYS / f"{name}.key.pem").read_bytes(), (KEYS / f"{name}.pem").read_bytes())


TRUSTED = ("alpha", "beta", "gamma", "operator", "csp-north", "csp-south", "network")
TRUST = TrustStore.of(*map(certificate, TRUSTED))
ALPHA = signer("alpha")
INTAKE = Intake(Schemas.load(), Limits())


def seeds() -> list[Path]:
    """Give the signed documents of the scenarios that are not long, and the inputs that were worth keeping."""
    documents = sorted((ROOT / "fixtures").glob("*/messages/*.xml"))
    return [path for path in documents if path.stat().st_size <= 8192] + sorted(CORPUS.glob("*"))


def _signed_digest(octets: bytes) -> bytes | None:
    try:
        root = parse(octets, Limits()).root
        signatures = list(root.iter(SIGNATURE))
        return hashlib.sha256(content(root, signatures[0])).digest() if len(signatures) == 1 else None
    except (Rejected, ValueError):  # a seed that is hostile itself
        return None


GENUINE = frozenset(digest for path in seeds() if (digest := _signed_digest(path.read_bytes())) is not None)
"""Digests of what the seeds' signatures may have been made over: nothing else can be attributed unless we sign it."""


def run(octets: bytes) -> str:
    """Take one input in both ways.

    Args:
        octets: anything.

    Returns:
        What came of it, for statistics: the codes of both ways.

    Raises:
        BrokenError: if a document was attributed that nobody signed, or an end is not one of those that there are.
    """
    found = INTAKE(octets, TRUST, NOW)
    if isinstance(found, Unattributed):
        _hold(found.rejection.code in UNSIGNED_CODES, f"refused with {found.rejection.code}")
        first = str(found.rejection.code)
    else:
        _hold(found.digest in GENUINE, "a document was attributed that nobody signed")
        first = _behind_the_signature(found)
    try:
        again = ALPHA.sign(octets, replace=True)
    except (Rejected, ValueError):
        return f"{first} -"
    found = INTAKE(again, TRUST, NOW)
    if isinstance(found, Unattributed):
        _hold(found.rejection.code in UNSIGNED_CODES - {"E900"}, f"signed, and refused with {found.rejection.code}")
        return f"{first} {found.rejection.code}"
    return f"{first} {_behind_the_signature(found)}"


def _behind_the_signature(found: Attributed) -> str:
    """Check what was read: it can be written, and says the same again."""
    if isinstance(found.outcome, Rejected):
        _hold(found.outcome.code in SIGNED_CODES, f"attributed, and refused with {found.outcome.code}")
        return f"attributed {found.outcome.code}"
    request: ServiceRequest = found.outcome
    _hold(request.request_id == found.request_id, "two RequestIDs were read")
    if request.request_id.originator == ALPHA_EUI:
        again = INTAKE(write_request(request, ALPHA), TRUST, NOW)
        _hold(
            isinstance(again, Attributed) and again.outcome == request, "what was read, written again, reads otherwise"
        )
    return "read"


ALPHA_EUI = RequestID.parse("90-B3-D5-1F-30-01-00-00:90-B3-D5-1F-30-01-00-00:0").originator


def _hold(condition: bool, what: str) -> None:
    if not condition:
        raise BrokenError(what)
