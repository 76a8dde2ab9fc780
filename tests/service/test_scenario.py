"""Scenarios: what they may say, what is checked, where messages are written."""

import json
from pathlib import Path

import pytest

from chfw_sr import bootstrap
from chfw_sr.service.replay import ManualClock, Recorder, Replay
from chfw_sr.service.scenario import Scenario, ScenarioError, read_scenario

from .world import ALPHA, CAMPAIGN, DAY, DCC, GASCO, OPERATOR, START, World, create, hub_eui, publish

HEAD = f"""
title = "A test"
provenance = "tests/service"
dcc = "{DCC}"
users = "users.toml"
signing_key = "key.pem"
signing_certificate = "certificate.pem"
[names]
operator = "{OPERATOR}"
"""


def read(folder: Path, text: str) -> Scenario:
    (folder / "scenario.toml").write_text(text, "utf-8")
    return read_scenario(folder)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title = ", "scenario.toml: Invalid value"),
        (HEAD + "[[step]]\nfile = 'a.xml'\n", "the first step says when"),
        (HEAD + "[[step]]\nat = 2027-01-04T09:00:00\n", "step.0.at"),
        (HEAD + "[[step]]\nat = 2027-01-04T09:00:00Z\nflie = 'a.xml'\n", "step.0.flie"),
        (HEAD + "[[step]]\nat = 2027-01-04T09:00:00Z\n[[step]]\nat = 2027-01-03T09:00:00Z\n", "not in order"),
        (HEAD + "[[step]]\nat = 2027-01-04T09:00:00Z\nexpect.alerts = {'nobody N64' = 1}\n", "nobody N64"),
        (HEAD + "[[step]]\nat = 2027-01-04T09:00:00Z\nexpect.alerts = {operator = 1}\n", "NAME CODE"),
        (HEAD + "[[step]]\nat = 2027-01-04T09:00:00Z\nexpect.ending = 'Perhaps'\n", "step.0.expect.ending"),
    ],
)
def test_a_bad_scenario_names_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=r"scenario\.toml") as caught:
        read(tmp_path, text)
    assert complaint in str(caught.value)


def test_a_missing_scenario_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"scenario\.toml"):
        read_scenario(tmp_path)


@pytest.fixture
async def replay(tmp_path: Path) -> Replay:
    world = await World(clock=ManualClock(START)).populate()
    recorder = Recorder(world.bus.publisher(), tmp_path / "out")
    world.relay._publisher = recorder
    for name, octets in {
        "create.xml": world.octets(OPERATOR, create()),
        "publish.xml": world.octets(OPERATOR, publish([hub_eui(0), hub_eui(7)])),
        "junk.xml": b"<junk",
    }.items():
        (tmp_path / name).write_bytes(octets)
    return Replay(
        store=world.store,
        sender=world.bus,
        consumer=world.bus.consumer(),
        processor=world.processor,
        relay=world.relay,
        clockwork=world.clockwork,
        recorder=recorder,
        clock=world.clock,
    )


STEPS = """
[[step]]
at = 2027-01-04T09:00:00Z
file = "create.xml"
reply_to = "../adapter"
expect = { ending = "Done", code = "I99", alerts = { "operator N911" = 1 } }
[[step]]
file = "publish.xml"
[[step]]
at = 2027-01-09T09:00:00Z
note = "the deadline passes"
[[step]]
file = "junk.xml"
expect = { ending = "Quarantined", code = "E900", alerts = {} }
[expect.campaigns]
"CH-2027-01" = "PilotConfirmed"
"""


async def test_a_scenario_whose_expectations_are_met(replay: Replay, tmp_path: Path) -> None:
    results = [each async for each in replay.scenario(read(tmp_path, HEAD + STEPS), tmp_path)]
    assert [result.unmet for result in results] == [()] * 4
    assert results[2].alerts == {
        (ALPHA, "N905"): 1,
        (GASCO, "N905"): 1,
        (ALPHA, "N906"): 1,
        (GASCO, "N906"): 1,
        (OPERATOR, "N906"): 1,
    }
    assert results[2].at == START + 5 * DAY
    out = tmp_path / "out"
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert f"alerts/{OPERATOR}/0001-N911.xml" in written
    assert f"alerts/{ALPHA}/0001-N901.xml" in written
    assert f"responses/{OPERATOR}/0001-I99.xml" in written
    assert "replies/..%2Fadapter/0001-I99.xml" in written
    assert "quarantine/0001-E900.xml" in written
    assert (out / "quarantine/0001-E900.xml").read_bytes() == b"<junk"
    assert json.loads((out / "quarantine/0001-E900.json").read_text())["x-chfw-code"] == "E900"
    assert replay.recorder.written == len(written) - 1


async def test_every_expectation_that_is_not_met_is_a_sentence(replay: Replay, tmp_path: Path) -> None:
    text = (
        HEAD
        + """
[[step]]
at = 2027-01-04T09:00:00Z
file = "create.xml"
expect = { ending = "Refused", code = "E2", alerts = { "operator N904" = 1 } }
[expect.campaigns]
"CH-2027-01" = "Complete"
"NONE" = "Draft"
"""
    )
    (result,) = [each async for each in replay.scenario(read(tmp_path, text), tmp_path)]
    assert result.unmet == (
        "ending: expected Refused, found Done",
        "code: expected E2, found I99",
        "alerts: expected 1 N904 to operator, found 0",
        "alerts: expected 0 N911 to operator, found 1",
        f"campaign {CAMPAIGN}: expected Complete, found Draft",
        "campaign NONE: expected Draft, found no such campaign",
    )


async def test_a_clock_that_cannot_move_on_is_a_defect_and_not_a_loop(replay: Replay) -> None:
    class Stuck:
        async def next_due(self):
            return START

    replay.store = Stuck()
    with pytest.raises(RuntimeError, match="a step is due"):
        await replay.run_clock(START + DAY)


def test_the_clock_of_a_replay_never_goes_back() -> None:
    clock = ManualClock(START)
    clock.set(START - DAY)
    assert clock.now() == START


def test_the_machines_clock_is_aware() -> None:
    assert bootstrap.SystemClock().now().utcoffset().total_seconds() == 0
