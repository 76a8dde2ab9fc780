"""`chfw-sr convert`, from the shell."""

import json
from pathlib import Path

import pytest

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "campaign" / "messages" / "07-alpha-11.6.xml"


def test_there_and_back(bare, tmp_path):
    result = bare("convert", FIXTURE, "-o", tmp_path / "request.json")
    assert result.exit_code == 0
    assert "signature is left out" in result.stderr
    flat = json.loads((tmp_path / "request.json").read_text("utf-8"))
    assert flat["header"]["requestId"]["originatorId"] == "90-b3-d5-1f-30-01-00-00"
    assert bare("convert", tmp_path / "request.json", "-o", tmp_path / "request.xml").exit_code == 0
    assert bare("validate", tmp_path / "request.xml").exit_code == 0
    again = bare("convert", "-", stdin=(tmp_path / "request.xml").read_bytes())
    assert (json.loads(again.stdout), again.stderr) == (flat, "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not JSON"),
        (b"{}", "header: an object is expected"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"<a", "not well-formed"),
        (b"<a/>", "not sr:Request or sr:Response"),
    ],
)
def test_what_cannot_be_converted_is_told(bare, content, words):
    result = bare("convert", "-", stdin=content)
    assert result.exit_code == 1
    assert words in result.stderr


def test_json_that_the_schema_does_not_allow_is_told_with_the_place(bare, tmp_path):
    flat = json.loads(bare("convert", FIXTURE).stdout)
    flat["body"]["UpdatePilotPreferences"]["CampaignID"] = "no blanks allowed"
    result = bare("convert", "-", stdin=json.dumps(flat))
    assert result.exit_code == 1
    assert "/sr:Request/sr:Body/sr:UpdatePilotPreferences/sr:CampaignID" in result.stderr


def test_a_file_that_is_not_there(bare, tmp_path):
    result = bare("convert", tmp_path / "none.xml")
    assert result.exit_code == 2
    assert "none.xml" in result.stderr
