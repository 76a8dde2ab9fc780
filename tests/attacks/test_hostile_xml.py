"""Hostile XML is refused with its code, before the stage at which it would cost."""

import pytest
from lxml import etree

from chfw_sr.wire import Schemas
from tests.attacks.forge import end_of
from tests.attacks.hostile_xml import ATTACKS, GOOD, HARMLESS, Stage, aimed
from tests.wire.makers import take


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_hostile_xml_is_refused_before_it_costs(attack, monkeypatch):
    octets = aimed(attack.make())
    reached = []

    def watched(stage, real):
        def call(*args, **kwargs):
            reached.append(stage)
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(etree, "fromstring", watched(Stage.PARSE, etree.fromstring))
    monkeypatch.setattr(Schemas, "validate", watched(Stage.SCHEMA, Schemas.validate))
    end = end_of(octets)
    assert (end.attributed, end.code) == (False, attack.code), end.reason
    assert all(stage < attack.before for stage in reached), (reached, end.reason)


@pytest.mark.parametrize("harmless", HARMLESS, ids=lambda attack: attack.name)
def test_what_is_no_part_of_the_content_makes_it_no_other_request(harmless):
    assert take(harmless.make()) == take(GOOD)


def test_the_document_that_they_are_made_of_is_a_good_one():
    assert end_of(GOOD).code is None
