"""A few hundred of what `make fuzz` and `make mutants` run by the million, and that both would notice something."""

import random

import pytest

from chfw_sr.messages import Rejected
from chfw_sr.wire import parse
from chfw_sr.wire.parse import Limits
from tests.fuzz import mutation, target, verifiers

SEEDS = target.seeds()


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_every_seed_and_everything_that_was_found_has_an_end(path):
    assert target.run(path.read_bytes())


def test_mutants_have_an_end():
    documents = [path.read_bytes() for path in SEEDS]
    ends = set()
    for seed in range(400):
        rng = random.Random(seed)
        ends.add(target.run(mutation.mutate(rng.choice(documents), rng, documents)))
    assert {"E900 -", "E901 E901", "E902 read", "read E902"} <= ends  # they reach every stage


def test_the_target_notices_a_forgery_and_a_crash(monkeypatch):
    genuine = next(path for path in SEEDS if path.name.endswith("-alpha-11.6.xml")).read_bytes()
    monkeypatch.setattr(target, "GENUINE", frozenset())
    with pytest.raises(target.BrokenError, match="nobody signed"):
        target.run(genuine)
    monkeypatch.setattr(target, "INTAKE", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        target.run(genuine)


def test_a_mutant_is_the_same_for_the_same_seed():
    document = SEEDS[0].read_bytes()
    assert len({mutation.mutate(document, random.Random(7)) for _ in range(3)}) == 1
    assert len({mutation.mutate(document, random.Random(seed)) for seed in range(20)}) > 10


def test_the_verifiers_agree_on_a_few_hundred_mutants():
    others = {"signxml": verifiers.ask_signxml}
    found = verifiers.compare(range(1, 301), others)
    assert found.wrong == []
    assert found.ends["accepted by all"] > 10
    assert found.ends["refused by all"] > 100


def test_a_verifier_of_ours_that_accepts_too_much_is_noticed():
    def careless(octets, _subject):
        try:
            parse(octets, Limits())
        except Rejected:
            return None, "E900"
        return bytes(32), ""

    found = verifiers.compare(range(1, 60), {"signxml": verifiers.ask_signxml}, careless)
    assert any("refused by signxml" in each for each in found.wrong)
    assert any("other content" in each for each in found.wrong)
