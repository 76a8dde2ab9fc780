"""The operations page knows every metric, and no other."""

import re
from pathlib import Path

from chfw_sr.service.observer import Loop
from chfw_sr.telemetry.health import Health
from chfw_sr.telemetry.metrics import PrometheusObserver

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")


def names() -> set[str]:
    families = PrometheusObserver(Health(stuck_seconds=1, probe_seconds=1)).registry.collect()
    suffixes = {"counter": "_total", "info": "_info"}
    return {each.name + suffixes.get(each.type, "") for each in families}


def test_every_metric_stands_in_the_table() -> None:
    rows = {match[1] for match in re.finditer(r"^\| `(chfw_sr_\w+)`", PAGE, re.MULTILINE)}
    assert rows == names()


def test_no_alarm_asks_for_a_metric_that_is_not_there() -> None:
    asked = {each.removesuffix("_bucket") for each in re.findall(r"chfw_sr_\w+", PAGE)}
    assert asked == names()


def test_what_can_be_retried_is_named() -> None:
    for what in ("receiving", "acknowledging", "publishing", "processing", Loop.CLOCK, Loop.HEARTBEAT):
        assert f"`{what}`" in PAGE
