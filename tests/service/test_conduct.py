"""What a decision turns out to need is fetched when it does."""

from datetime import timedelta

from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.facts import Needs
from chfw_sr.messages import Activation, ActivationResult, ReportFirmwareActivation, Stage

from .world import ALPHA, CAMPAIGN, DAY, GASCO, HUBS, NORTH, OPERATOR, START, World, create, publish


async def test_a_pause_by_the_threshold_is_told_to_every_supplier_though_no_report_asks_for_them() -> None:
    world = await World(policy=Policy(threshold_minimum=2)).populate()
    await world.send(OPERATOR, create())
    await world.send(OPERATOR, publish([hub.eui for hub in HUBS]))
    world.clock.set(START + 10 * DAY)
    await world.clockwork.tick()
    await world.published()

    failed = [
        Activation(
            device_id=hub.eui,
            firmware_version="02.00",
            at=START + 10 * DAY - timedelta(minutes=1),
            result=ActivationResult.FAILURE,
            failure_reason="No room.",
        )
        for hub in HUBS[:2]
    ]
    await world.send(NORTH, ReportFirmwareActivation(activations=tuple(failed)))

    told = await world.told()
    assert [recipient for recipient, code in told if code == "N906"] == [ALPHA, GASCO, OPERATOR]
    async with world.store.begin() as work:
        assert (await work.facts(Needs(campaign=CAMPAIGN))).campaigns[CAMPAIGN].campaign.stage is Stage.PAUSED
