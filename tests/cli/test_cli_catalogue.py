import json
from pathlib import Path

import pytest

from chfw_sr.campaign import transitions
from chfw_sr.messages.catalogue import ALERTS, RESPONSES, SERVICE_REFERENCES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("command", "page"), [("catalogue", "catalogue.md"), ("stages", "stages.md")])
def test_the_documentation_is_what_the_command_prints(bare, command, page):
    result = bare(command)
    assert result.exit_code == 0
    assert result.stdout == (DOCS / page).read_text(encoding="utf-8")
    assert result.stderr == ""


def test_every_code_has_a_row(bare):
    lines = bare("catalogue").stdout.splitlines()
    for code in [*SERVICE_REFERENCES, *ALERTS, *RESPONSES]:
        assert sum(line.startswith(f"| {code} |") for line in lines) == 1, code


@pytest.mark.parametrize("arguments", [("--json",), ("--format", "json")])
def test_the_catalogue_as_json(bare, arguments):
    data = json.loads(bare("catalogue", *arguments).stdout)
    assert [entry["srv"] for entry in data["service_requests"]] == [str(srv) for srv in SERVICE_REFERENCES]
    assert {entry["code"]: entry["origin"] for entry in data["alerts"]}["N64"] == "DUIS"
    used = {entry["code"]: entry["used"] for entry in data["responses"]}
    assert len(used) == len(RESPONSES)
    assert not used["E4"]
    assert used["E900"]


def test_the_diagram_is_drawn_from_the_table(bare):
    page = bare("catalogue", "--diagram").stdout
    assert page == bare("stages").stdout
    assert transitions.diagram() in page
    assert page.count("```") == 2
