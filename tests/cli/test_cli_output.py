import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from chfw_sr.cli import output
from chfw_sr.messages import Region, Stage, Window


@dataclass(frozen=True)
class Thing:
    name: str
    regions: frozenset[Region]
    amount: Decimal


def test_values_of_the_domain_have_a_json_form():
    at = datetime(2026, 3, 2, 14, tzinfo=timezone(timedelta(hours=2)))
    window = Window(window_id=1, start=at, end=at + timedelta(hours=1))
    thing = Thing("x", frozenset({Region.SOUTH, Region.CENTRAL}), Decimal("2.50"))
    assert output.plain([thing, window, Stage.DRAFT, None, True, {"a": at}, b"\x0a"]) == [
        {"name": "x", "regions": ["Central", "South"], "amount": "2.50"},
        {"window_id": 1, "start": "2026-03-02T12:00:00Z", "end": "2026-03-02T13:00:00Z", "max_devices": None},
        "Draft",
        None,
        True,
        {"a": "2026-03-02T12:00:00Z"},
        "0a",
    ]


def test_what_json_cannot_say_is_refused():
    with pytest.raises(TypeError, match="object"):
        output.plain(object())
    with pytest.raises(TypeError, match="no fields"):
        output.record([1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        ((), "-"),
        (("a", "b"), "a, b"),
        ({"a": 1, "b": None}, "a=1, b=-"),
        ({}, "-"),
        (3, "3"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
    ],
)
def test_cells_of_a_table(value, text):
    assert output.cell(value) == text


def test_control_characters_are_shown_not_obeyed():
    assert output.visible("a\tb\nc\x1b]0;x\x07\x9b\udc80") == "a\tb\nc\\x1b]0;x\\x07\\x9b\\udc80"
    assert output.visible("Grün") == "Grün"


def test_a_table_does_not_read_markup_and_folds_nothing(capsys):
    output.print_table(("id", "text"), [(7, "[bold]" + "x" * 300)], title="T")
    shown = capsys.readouterr().out
    assert "[bold]" + "x" * 300 in shown
    assert shown.startswith("\nT\n")
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_numbers_stand_to_the_right(capsys):
    output.print_table(("count", "text", "flag"), [(7, "7", True), (None, "8", False)])
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.index("7") for row in rows[:1]] == [header.index("count") + 4]
    assert [row.index(word) for row, word in zip(rows, ("yes", "no"), strict=True)] == [header.index("flag")] * 2


def test_an_empty_table_is_a_header(capsys):
    output.print_table(("id", "text"), [])
    assert capsys.readouterr().out.split()[:2] == ["id", "text"]


def test_json_keeps_letters_as_they_are(capsys):
    output.print_json({"name": "Grün", "at": datetime(2026, 1, 1, tzinfo=UTC)})
    shown = capsys.readouterr().out
    assert "Grün" in shown
    assert json.loads(shown)["at"] == "2026-01-01T00:00:00Z"


def test_a_progress_bar_is_silent_away_from_a_terminal(capsys):
    with output.progress_bar("reading", 10) as bar:
        bar.reached(5)
    assert capsys.readouterr() == ("", "")
