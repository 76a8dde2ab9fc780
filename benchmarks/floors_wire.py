"""Measures the wire beside its floors: what each part would cost if nothing but its libraries' own work were done.

    python benchmarks/floors_wire.py [--json]

CPU time of one process, in microseconds a document (milliseconds for the long ones). Floor and product take turns over
the same documents, so that both meet the same machine; every figure is the least of many rounds, with the median beside
it. A floor calls lxml, hashlib and cryptography directly, on a document that is known to be good: it parses with the
same hardening, validates, canonicalises, digests and verifies, but checks no shape, finds no certificate and reads no
value.
"""

import base64
import gc
import hashlib
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from lxml import etree

from chfw_sr.messages import (
    EUI,
    SRV,
    Activation,
    ActivationResult,
    Alert,
    Body,
    CommsHubFirmwareActivation,
    ReportFirmwareActivation,
    RequestID,
    ResponseCode,
    ResponseID,
    ServiceRequest,
    ServiceResponse,
    UpdatePilotPreferences,
    parse_campaign_id,
)
from chfw_sr.resources import resource_directory
from chfw_sr.wire import (
    Attributed,
    Intake,
    Limits,
    Schemas,
    Signer,
    TrustStore,
    write_alert,
    write_alerts,
    write_request,
    write_response,
    write_responses,
)
from chfw_sr.wire.pki import issue, make_authority

NOW = datetime(2027, 1, 4, 9, tzinfo=UTC)
DCC = EUI("90-B3-D5-1F-30-00-00-02")
USER = EUI("90-B3-D5-1F-30-01-00-00")
CAMPAIGN = parse_campaign_id("BENCH")
ALGORITHM = ec.ECDSA(hashes.SHA256())
BATCH = 200
ROUNDS = 25
LONG_ROUNDS = 7


def hub(number: int) -> EUI:
    text = f"{0x00DB_1234_0000_0000 + number:016X}"
    return EUI("-".join(text[place : place + 2] for place in range(0, 16, 2)))


@dataclass(frozen=True)
class Figure:
    """One line of the report, in microseconds of CPU: the least and the median of all rounds."""

    part: str
    least: float
    median: float


class Floors:
    """The libraries' own work, without a line of the product on the way.

    Args:
        signer: whose key signs and verifies.
    """

    def __init__(self, signer: Signer) -> None:
        self.key = signer.key
        self.public_key = signer.key.public_key()
        self.parser = etree.XMLParser(
            encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True
        )
        self.schema = etree.XMLSchema(etree.parse(resource_directory("schemas") / "ServiceUserGateway.xsd"))

    def parse(self, octets: bytes) -> etree._Element:
        return etree.fromstring(octets, self.parser)

    def digest(self, root: etree._Element) -> bytes:
        return hashlib.sha256(etree.tostring(root.getroottree(), method="c14n")).digest()

    def signed_info(self, root: etree._Element) -> bytes:
        return etree.tostring(root[-1][0], method="c14n", exclusive=True)

    def verify(self, root: etree._Element, signed_info: bytes) -> None:
        value = base64.b64decode(root[-1][1].text or "")
        r, s = int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big")
        self.public_key.verify(encode_dss_signature(r, s), signed_info, ALGORITHM)

    def intake(self, octets: bytes) -> None:
        root = self.parse(octets)
        self.schema.validate(root)
        self.digest(root)
        self.verify(root, self.signed_info(root))

    def intake_by_stages(self, documents: Sequence[bytes]) -> None:
        roots = [self.parse(octets) for octets in documents]
        for root in roots:
            self.schema.validate(root)
        for root in roots:
            self.digest(root)
        signed_infos = [self.signed_info(root) for root in roots]
        for root, signed_info in zip(roots, signed_infos, strict=True):
            self.verify(root, signed_info)

    def written(self, shape: "Shape", name: str) -> bytes:
        """Render a document of a fixed shape, digest and sign it: one value varies."""
        canonical = shape.before_name + name.encode() + shape.after_name
        digest = base64.b64encode(hashlib.sha256(canonical + shape.end).digest())
        r, s = decode_dss_signature(self.key.sign(shape.alone + digest + shape.end_signed_info, ALGORITHM))
        value = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return b"".join(
            (canonical, shape.opening, digest, shape.end_signed_info, b"<ds:SignatureValue>", value, shape.rest)
        )


@dataclass(frozen=True)
class Shape:
    """A written document cut where its values stand."""

    octets: bytes
    name: str

    end = b"</sr:Response>"
    end_signed_info = b"</ds:DigestValue></ds:Reference></ds:SignedInfo>"

    @cached_property
    def _canonical(self) -> bytes:
        return self.octets[: self.octets.index(b"<ds:Signature ")]

    @cached_property
    def before_name(self) -> bytes:
        return self._canonical[: self._canonical.index(self.name.encode())]

    @cached_property
    def after_name(self) -> bytes:
        return self._canonical[len(self.before_name) + len(self.name) :]

    @cached_property
    def opening(self) -> bytes:
        end = self.octets.index(b"<ds:DigestValue>") + len(b"<ds:DigestValue>")
        return self.octets[len(self._canonical) : end]

    @cached_property
    def alone(self) -> bytes:
        start = self.opening.index(b"<ds:SignedInfo>")
        declared = b'<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        return declared + self.opening[start + len(b"<ds:SignedInfo>") :]

    @cached_property
    def rest(self) -> bytes:
        return self.octets[self.octets.index(b"</ds:SignatureValue>") :]


def measured(rounds: int, each: int, parts: dict[str, Callable[[], object]]) -> list[Figure]:
    """Let all parts take turns, and give what each costs a document."""
    spent: dict[str, list[float]] = {part: [] for part in parts}
    for _ in range(rounds):
        for part, run in parts.items():
            gc.collect()
            began = time.process_time_ns()
            run()
            spent[part].append((time.process_time_ns() - began) / each / 1000)
    return [Figure(part, min(found), statistics.median(found)) for part, found in spent.items()]


def repeated(run: Callable[[], object]) -> Callable[[], object]:
    return lambda: [run() for _ in range(BATCH)]


class Bench:
    """Documents, and both ways to take and to write them."""

    def __init__(self) -> None:
        authority = make_authority("Bench Authority")
        certificate, key = issue(authority, USER, "User", NOW - timedelta(days=1), NOW + timedelta(days=900))
        self.signer = Signer.of(key, certificate)
        self.trust = TrustStore.of(certificate)
        self.floors = Floors(self.signer)
        self.intake = Intake(Schemas.load(), Limits())

    def request(self, body: Body, counter: int) -> bytes:
        request_id = RequestID(originator=USER, target=DCC, counter=counter)
        return write_request(ServiceRequest(request_id=request_id, body=body), self.signer)

    def taken(self, documents: Sequence[bytes]) -> None:
        for end in self.intake.take(documents, self.trust, NOW):
            if not (isinstance(end, Attributed) and isinstance(end.outcome, ServiceRequest)):
                raise TypeError(f"refused: {end}")

    def parts(self) -> list[Figure]:
        """The floors one by one, each in a row: how cheap it can be, with all its code and tables in the caches."""
        body = UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=(hub(1), hub(2)))
        octets, floors = self.request(body, 1), self.floors
        root = floors.parse(octets)
        info = floors.signed_info(root)
        alone: dict[str, Callable[[], object]] = {
            "hardened parse": lambda: floors.parse(octets),
            "XSD": lambda: floors.schema.validate(root),
            "inclusive c14n and digest": lambda: floors.digest(root),
            "exclusive c14n of SignedInfo": lambda: floors.signed_info(root),
            "ECDSA P-256 verify": lambda: floors.verify(root, info),
            "ECDSA P-256 sign": lambda: floors.key.sign(info, ALGORITHM),
        }
        rows = {f"floor: {part}": repeated(run) for part, run in alone.items()}
        return measured(ROUNDS, BATCH, rows)

    def requests(self) -> list[Figure]:
        body = UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=(hub(1), hub(2)))
        documents = [self.request(body, counter) for counter in range(BATCH)]
        singly = [[octets] for octets in documents]
        return measured(
            ROUNDS,
            BATCH,
            {
                "floor: intake, one by one": lambda: deque(map(self.floors.intake, documents), 0),
                "floor: intake, by stages": lambda: self.floors.intake_by_stages(documents),
                "intake of a small 11.6, one by one": lambda: deque(map(self.taken, singly), 0),
                f"intake of a small 11.6, {BATCH} together": lambda: self.taken(documents),
            },
        )

    def writing(self) -> list[Figure]:
        body = CommsHubFirmwareActivation(device_id=hub(1), firmware_version="02.00")
        alert = Alert(recipient=USER, body=body)
        ids = [ResponseID(originator=DCC, target=USER, counter=counter) for counter in range(BATCH)]
        names = list(map(str, ids))
        numbered = [(counter, alert) for counter in range(BATCH)]
        alert_shape = Shape(write_alert(alert, ids[0], NOW, self.signer), names[0])
        responses = [
            ServiceResponse(
                request_id=RequestID(originator=USER, target=DCC, counter=counter),
                code=ResponseCode.I99,
                at=NOW,
                srv=SRV.UPDATE_PILOT_PREFERENCES,
            )
            for counter in range(BATCH)
        ]
        response_shape = Shape(write_response(responses[0], self.signer), names[0])
        return measured(
            ROUNDS,
            BATCH,
            {
                "floor: alert": lambda: [self.floors.written(alert_shape, name) for name in names],
                "floor: response": lambda: [self.floors.written(response_shape, name) for name in names],
                "N64, one by one": lambda: [write_alert(alert, each, NOW, self.signer) for each in ids],
                f"N64, {BATCH} together": lambda: write_alerts(numbered, DCC, NOW, self.signer),
                "Service Response, one by one": lambda: [write_response(each, self.signer) for each in responses],
                f"Service Response, {BATCH} together": lambda: write_responses(responses, self.signer),
            },
        )

    def long_ones(self) -> list[Figure]:
        listed = UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=tuple(map(hub, range(50_000))))
        reported = ReportFirmwareActivation(
            activations=tuple(
                Activation(device_id=hub(number), firmware_version="02.00", at=NOW, result=ActivationResult.SUCCESS)
                for number in range(10_000)
            )
        )
        list_octets, report_octets = self.request(listed, 1), self.request(reported, 2)
        return measured(
            LONG_ROUNDS,
            1,
            {
                "floor: 11.6 of 50,000 EUIs": lambda: self.floors.intake(list_octets),
                "11.6 of 50,000 EUIs": lambda: self.taken([list_octets]),
                "floor: 11.30 of 10,000 activations": lambda: self.floors.intake(report_octets),
                "11.30 of 10,000 activations": lambda: self.taken([report_octets]),
            },
        )


def main() -> None:
    """Measure everything and print it."""
    bench = Bench()
    figures = [*bench.parts(), *bench.requests(), *bench.writing(), *bench.long_ones()]
    if "--json" in sys.argv[1:]:
        print(json.dumps({each.part: {"least": each.least, "median": each.median} for each in figures}))
        return
    print(f"{'CPU in microseconds':44} {'least':>10} {'median':>10}")
    for each in figures:
        print(f"{each.part:44} {each.least:>10.1f} {each.median:>10.1f}")


if __name__ == "__main__":
    main()
