"""The nouns' own small questions."""

from dataclasses import replace

import pytest

from chfw_sr.campaign.model import PhaseTimes, Tally
from chfw_sr.messages import Phase, Region, Role, Stage

from .examples import CAMPAIGNS, DRAFT, ELECTRIC, GAS, GRID, NOW, PIPES, THIRD, VERSION, hub

FULL = hub(1, electricity_distributor=GRID, gas_transporter=PIPES)


def test_the_lead_supplier_is_the_import_supplier_where_there_is_one():
    assert FULL.lead_supplier == ELECTRIC
    assert hub(1, import_supplier=None).lead_supplier == GAS
    assert hub(1, import_supplier=None, gas_supplier=None).lead_supplier is None


@pytest.mark.parametrize("role", Role)
def test_who_is_responsible_in_each_role(role):
    users = {Role.IS: ELECTRIC, Role.GS: GAS, Role.ED: GRID, Role.GT: PIPES}
    assert FULL.responsible(role) == users.get(role)


@pytest.mark.parametrize(("user", "supplies"), [(ELECTRIC, True), (GAS, True), (GRID, False), (THIRD, False)])
def test_both_suppliers_supply(user, supplies):
    assert FULL.is_supplied_by(user) is supplies


@pytest.mark.parametrize("stage", Stage)
def test_only_complete_and_aborted_campaigns_are_not_live(stage):
    assert CAMPAIGNS[stage].is_live is (stage not in (Stage.COMPLETE, Stage.ABORTED))


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"manufacturer": "Other"}, False),
        ({"model": "CH-2"}, False),
        ({"region": Region.SOUTH}, False),
        ({"firmware_version": VERSION}, False),
    ],
)
def test_which_hubs_a_campaign_fits(changes, fits):
    assert replace(DRAFT, regions=frozenset({Region.NORTH, Region.CENTRAL})).fits(hub(1, **changes)) is fits


@pytest.mark.parametrize("phase", Phase)
def test_each_phase_has_its_own_times(phase):
    times = PhaseTimes(starts_at=NOW)
    changed = DRAFT.with_times(phase, times)
    other = next(each for each in Phase if each is not phase)
    assert (changed.times(phase), changed.times(other)) == (times, PhaseTimes())


def test_hubs_that_have_not_reported_are_silent():
    assert Tally(devices=9, activated=4, failed=2).silent == 3
