"""Two independent verifiers, and ours, on the same mutants of signed documents: `make mutants`.

signxml (Python) and xmlsec (C) are given the signer's certificate and asked as leniently as they can be asked. Ours may
refuse what they accept, and each such refusal is counted by its reason. It may never accept what one of them refuses;
and where all accept, they must mean the same content.
"""

import argparse
import hashlib
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from lxml import etree
from signxml import DigestAlgorithm, SignatureConfiguration, SignatureMethod, XMLVerifier
from signxml.exceptions import SignXMLException

from chfw_sr.messages import Rejected
from chfw_sr.wire import Attributed, Limits, TrustStore, parse, pki, verify
from tests.fuzz import mutation, target

DS = "http://www.w3.org/2000/09/xmldsig#"

Verdict = bytes | None
"""SHA-256 of the content that was signed; empty octets where the verifier does not tell; None for a refusal."""


@dataclass(frozen=True)
class Subject:
    """A signed document and whose it is."""

    octets: bytes
    certificate_pem: bytes
    trust: TrustStore


def subjects() -> list[Subject]:
    """Give the documents of the scenarios whose signatures hold."""
    found = []
    for name in target.TRUSTED:
        certificate = target.certificate(name)
        trust = TrustStore.of(certificate)
        for path in target.seeds():
            octets = path.read_bytes()
            subject = Subject(octets, pki.certificate_pem(certificate), trust)
            if ours(octets, subject)[0] is not None:
                found.append(subject)
    return found


def ours(octets: bytes, subject: Subject) -> tuple[Verdict, str]:
    """Ask our own verifier; the reason of a refusal comes with its code, without what varies."""
    try:
        return verify(parse(octets, Limits()), subject.trust, target.NOW).digest, ""
    except Rejected as rejection:
        return None, f"{rejection.code} {_gist(rejection.reason)}"


def _gist(reason: str) -> str:
    words = (word for word in reason.split() if word.islower() or word.strip(":;,").isalpha())
    return " ".join(words)[:80]


def ask_signxml(octets: bytes, subject: Subject) -> Verdict:
    """Ask signxml: any place, any digest and any ECDSA."""
    config = SignatureConfiguration(
        location=".//",
        signature_methods=frozenset(each for each in SignatureMethod if "ECDSA" in each.name),
        digest_algorithms=frozenset(DigestAlgorithm),
        verification_time=target.NOW,
    )
    try:
        found = XMLVerifier().verify(octets, x509_cert=subject.certificate_pem.decode(), expect_config=config)
    except (SignXMLException, etree.LxmlError, ValueError, TypeError, KeyError, AttributeError, AssertionError):
        return None
    except Exception as error:  # signxml lets those of its parts through
        if type(error).__module__.partition(".")[0] in {"cryptography", "binascii", "certvalidator", "lxml"}:
            return None
        raise
    return hashlib.sha256(found.signed_data).digest() if found.signed_data else b""


def ask_xmlsec(octets: bytes, subject: Subject) -> Verdict:
    """Ask xmlsec, with the key in the certificate, whatever the KeyInfo says."""
    import xmlsec

    try:
        root = etree.fromstring(octets, etree.XMLParser(resolve_entities=False, no_network=True))
        node = root if root.tag == f"{{{DS}}}Signature" else xmlsec.tree.find_node(root, xmlsec.constants.NodeSignature)
        if node is None:
            return None
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(subject.certificate_pem, xmlsec.constants.KeyDataFormatCertPem)
        context.verify(node)
    except (xmlsec.Error, etree.LxmlError, ValueError):
        return None
    return b""


def _comments(mutant: bytes, subject: Subject) -> bool:
    plain = etree.fromstring(mutant, etree.XMLParser(resolve_entities=False, remove_comments=True))
    return b"<!--" in mutant and ask_signxml(etree.tostring(plain), subject) is not None


def _form(mutant: bytes, subject: Subject) -> bool:
    found = target.INTAKE(mutant, subject.trust, target.NOW)
    return isinstance(found, Attributed) and isinstance(found.outcome, Rejected) and found.outcome.code == "E901"


EXPLANATIONS: dict[str, Callable[[bytes, Subject], bool]] = {
    "signxml reads a value up to a comment in it; we read all of it, as it was signed": _comments,
    "signxml asks the schema before the signature; with us the schema refuses it too, by itself (E901)": _form,
}
"""Every reason for which our check of signatures may accept what signxml refuses, and how it is known; xmlsec: none."""


@dataclass
class Comparison:
    """What came of a number of mutants.

    Attributes:
        ends: mutants that all accepted, that all refused, and so on.
        stricter: our refusals of what another accepts, by our reason.
        explained: what we accept and another refuses, by the reason why that is right.
        wrong: descriptions of what must not be; with the mutants' seeds.
    """

    ends: Counter[str] = field(default_factory=Counter)
    stricter: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, seed: int, mine: tuple[Verdict, str], theirs: dict[str, Verdict]) -> None:
        """Judge one mutant."""
        verdict, reason = mine
        accepting = sorted(name for name, other in theirs.items() if other is not None)
        if verdict is None:
            self.ends[f"refused by us, accepted by {' and '.join(accepting)}" if accepting else "refused by all"] += 1
            if accepting:
                self.stricter[reason] += 1
            return
        self.ends["accepted by all" if len(accepting) == len(theirs) else "accepted by us alone"] += 1
        self.wrong += [f"mutant {seed}: accepted by us, refused by {name}" for name in theirs if theirs[name] is None]
        self.wrong += [
            f"mutant {seed}: {name} means other content" for name, other in theirs.items() if other and other != verdict
        ]


def compare(
    seeds: range,
    others: dict[str, Callable[[bytes, Subject], Verdict]],
    mine: Callable[[bytes, Subject], tuple[Verdict, str]] = ours,
    progress: Callable[[int], None] = lambda _seed: None,
) -> Comparison:
    """Ask all verifiers about the mutants of some seeds.

    Args:
        seeds: one mutant each; the same seed is the same mutant.
        others: the other verifiers, by name.
        mine: ours.
        progress: is told the seed that is done.
    """
    documents = subjects()
    parts = [subject.octets for subject in documents]
    comparison = Comparison()
    for seed in seeds:
        rng = random.Random(seed)
        subject = rng.choice(documents)
        mutant = mutation.mutate(subject.octets, rng, parts)
        verdict = mine(mutant, subject)
        theirs = {name: ask(mutant, subject) for name, ask in others.items()}
        if verdict[0] is not None and theirs.get("signxml", b"") is None:
            reason = next((name for name, holds in EXPLANATIONS.items() if holds(mutant, subject)), None)
            if reason is not None:
                comparison.explained[reason] += 1
                theirs["signxml"] = b""
        comparison.add(seed, verdict, theirs)
        progress(seed)
    return comparison


def main() -> int:
    """Compare as the command line says; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first mutant; the others follow")
    options = parser.parse_args()

    def progress(seed: int) -> None:
        if seed % 10_000 == 0:
            print(f"… {seed}", file=sys.stderr, flush=True)

    seeds = range(options.seed, options.seed + options.mutants)
    found = compare(seeds, {"signxml": ask_signxml, "xmlsec": ask_xmlsec}, progress=progress)
    for title, counts in (
        ("mutants", found.ends),
        ("we are stricter because", found.stricter),
        ("we are less strict because", found.explained),
    ):
        print(f"\n{title}")
        for what, count in counts.most_common():
            print(f"{count:9,}  {what}")
    print(f"\nwrong: {len(found.wrong)}", *found.wrong[:50], sep="\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
