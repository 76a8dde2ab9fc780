"""Its XML: what it reads of a request, and what it answers."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

SR = "http://www.dccinterface.co.uk/ServiceUserGateway"
NAMES = {"sr": SR, "ds": "http://www.w3.org/2000/09/xmldsig#"}
EXPECTED = SignatureConfiguration(
    location="./",
    signature_methods=frozenset({SignatureMethod.ECDSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
    default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
)

Element = etree._Element  # noqa: SLF001 - lxml names its type so


@dataclass(frozen=True)
class Preferences:
    """What an 11.6 says."""

    request_id: str
    digest: str
    originator: str
    target: str
    campaign_id: str
    hubs: list[str]
    schedule: list[dict[str, str]] | None


class Documents:
    """Reads and writes documents.

    Args:
        schemas: the folder with the schemas.
        key: the DCC's private key, PEM.
        certificate: its certificate, PEM.
    """

    def __init__(self, schemas: Path, key: bytes, certificate: bytes) -> None:
        self._schema = etree.XMLSchema(etree.parse(schemas / "ServiceUserGateway.xsd"))
        self._parser = etree.XMLParser(resolve_entities=False, no_network=True)
        self._verifier = XMLVerifier()
        loaded = serialization.load_pem_private_key(key, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self._key = loaded
        self._certificate = certificate.decode()

    def parse(self, octets: bytes) -> Element:
        """Parse, and check the schema."""
        root = etree.fromstring(octets, self._parser)
        self._schema.assertValid(root)
        return root

    @staticmethod
    def serial(root: Element) -> str:
        """Give the serial number of the certificate that the signature names."""
        return root.findtext(".//ds:X509SerialNumber", namespaces=NAMES) or ""

    def verify(self, octets: bytes, certificate: str) -> Element:
        """Check the signature; give what was signed."""
        verified = self._verifier.verify(octets, x509_cert=certificate, expect_config=EXPECTED)
        assert not isinstance(verified, list)
        assert verified.signed_xml is not None
        return verified.signed_xml

    @staticmethod
    def read(signed: Element) -> Preferences:
        """Read what was signed."""

        def text(path: str) -> str:
            return signed.findtext(path, namespaces=NAMES) or ""

        request_id = text("sr:Header/sr:RequestID").strip()
        originator, target, _ = request_id.split(":")
        windows = signed.findall(".//sr:Window", NAMES)
        schedule = [{etree.QName(child).localname: child.text or "" for child in window} for window in windows]
        devices = text("sr:Body/sr:UpdatePilotPreferences/sr:PreferredPilotList")
        return Preferences(
            request_id,
            hashlib.sha256(etree.tostring(signed, method="c14n")).hexdigest(),
            originator,
            target,
            text("sr:Body/sr:UpdatePilotPreferences/sr:CampaignID"),
            devices.upper().split(",") if devices else [],
            schedule or None,
        )

    def response(self, request: Preferences, code: str) -> bytes:
        """Write and sign the Service Response."""
        originator, target, counter = request.request_id.split(":")
        root = self._root(
            ("RequestID", request.request_id), ("ResponseID", f"{target}:{originator}:{counter}"), code=code
        )
        message = etree.SubElement(etree.SubElement(root, _name("Body")), _name("ResponseMessage"))
        for name in ("ServiceReference", "ServiceReferenceVariant"):
            etree.SubElement(message, _name(name)).text = "11.6"
        return self._signed(root)

    def alert(self, request: Preferences, response_id: str, code: str, accepted: int, refused: list[str]) -> bytes:
        """Write and sign the outcome alert."""
        root = self._root(("ResponseID", response_id), code="I0")
        message = etree.SubElement(etree.SubElement(root, _name("Body")), _name("DCCAlertMessage"))
        etree.SubElement(message, _name("DCCAlertCode")).text = code
        kind = "PilotPreferencesPartlyAccepted" if refused else "PilotPreferencesAccepted"
        body = etree.SubElement(etree.SubElement(message, _name("DCCAlert")), _name(kind))
        for name, value in (
            ("CampaignID", request.campaign_id),
            ("ServiceRequestID", request.request_id),
            ("AcceptedDevices", str(accepted)),
            ("RefusedDevices", str(len(refused))),
        ):
            etree.SubElement(body, _name(name)).text = value
        if refused:
            warning = etree.SubElement(body, _name("PilotPreferencesWarning"))
            etree.SubElement(warning, _name("InvalidDeviceIDList")).text = ",".join(refused)
        return self._signed(root)

    @staticmethod
    def _root(*header: tuple[str, str], code: str) -> Element:
        root = etree.Element(_name("Response"), {"schemaVersion": "5.4"}, nsmap={"sr": SR})
        head = etree.SubElement(root, _name("Header"))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, value in (*header, ("ResponseCode", code), ("ResponseDateTime", now)):
            etree.SubElement(head, _name(name)).text = value
        return root

    def _signed(self, root: Element) -> bytes:
        signer = XMLSigner(
            method=SignatureConstructionMethod.enveloped,
            signature_algorithm=SignatureMethod.ECDSA_SHA256,
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        octets: bytes = etree.tostring(signer.sign(root, key=self._key, cert=self._certificate))
        return octets


def _name(name: str) -> str:
    return f"{{{SR}}}{name}"
