import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.campaign.model import Hub
from chfw_sr.cli import inventory
from chfw_sr.messages import HubStatus, Region
from chfw_sr.service.registration import HUB_FIELDS, InvalidFile, Problem, read_inventory

HEADER = ",".join(HUB_FIELDS)
SUPPLIER = "90-B3-D5-1F-30-01-00-00"


def eui(number):
    return f"90-B3-D5-1F-30-A0-{number // 256:02X}-{number % 256:02X}"


def line(number, **changes):
    values = {
        "eui": eui(number),
        "manufacturer": "Makers",
        "model": "Model X",
        "firmware_version": "1.2.3",
        "region": "North",
        "status": "Commissioned",
        "import_supplier": SUPPLIER,
    } | changes
    return ",".join(values.get(name, "") for name in HUB_FIELDS)


def document(*lines):
    return "\n".join((HEADER, *lines)) + "\n"


def read(text, **options):
    return list(read_inventory(text.splitlines(keepends=True), "hubs.csv", **options))


# ------------------------------------------------------------------------------------------------------------- parsing


def test_a_line_becomes_a_hub():
    (chunk,) = read(document(line(1, eui=eui(1).lower(), gas_supplier="90-b3-d5-1f-30-02-00-00")))
    assert chunk.problems == []
    assert list(chunk.hubs) == [
        Hub(
            eui=eui(1),
            manufacturer="Makers",
            model="Model X",
            firmware_version="1.2.3",
            region=Region.NORTH,
            status=HubStatus.COMMISSIONED,
            import_supplier=SUPPLIER,
            gas_supplier="90-B3-D5-1F-30-02-00-00",
        )
    ]


def test_columns_may_stand_in_any_order_and_the_last_four_may_be_missing():
    text = "status,region,firmware_version,model,manufacturer,eui\nPending,South,9,M,Ma," + eui(5) + "\n"
    (chunk,) = read(text)
    assert list(chunk.hubs) == [Hub(eui(5), "Ma", "M", "9", Region.SOUTH, HubStatus.PENDING)]


def test_chunks_are_bounded_and_keep_the_order():
    chunks = read(document(*map(line, range(7))), chunk_rows=3)
    assert [[hub.eui for hub in chunk.hubs] for chunk in chunks] == [
        [eui(0), eui(1), eui(2)],
        [eui(3), eui(4), eui(5)],
        [eui(6)],
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eui", "90-B3"),
        ("manufacturer", ""),
        ("model", "x" * 31),
        ("model", "a\x1bb"),
        ("firmware_version", "123456789"),
        ("region", "north"),
        ("status", "Gone"),
        ("import_supplier", "x"),
        ("gas_supplier", "x"),
        ("electricity_distributor", "x"),
        ("gas_transporter", SUPPLIER + " "),
    ],
)
def test_a_bad_field_is_named_with_its_line(field, value):
    (chunk,) = read(document(line(1), line(2, **{field: value}), line(3)))
    assert [hub.eui for hub in chunk.hubs] == [eui(1), eui(3)]
    assert [(problem.line, problem.field) for problem in chunk.problems] == [(3, field)]
    assert chunk.bad_rows == 1


def test_every_bad_field_of_a_line_is_named_but_the_line_counts_once():
    (chunk,) = read(document(line(1, region="West", status="Gone")))
    region, status = map(str, chunk.problems)
    assert region == "line 2, field region: 'West' is none of North, Central, South"
    assert status.startswith("line 2, field status: 'Gone' is none of Commissioned, Pending, ")
    assert chunk.bad_rows == 1


def test_lines_are_counted_past_empty_ones_quoted_line_feeds_and_broken_quotes():
    text = document(line(1), "", line(2, model='"two\nlines"'), 'x"y"z,"a"b', line(3), "short,line")
    (chunk,) = read(text)
    assert [hub.eui for hub in chunk.hubs] == [eui(1), eui(3)]
    assert [problem.line for problem in chunk.problems] == [4, 6, 8]
    assert "not CSV" in chunk.problems[1].reason
    assert chunk.problems[2] == Problem(8, None, "2 fields where the header has 10")


@given(st.lists(st.sampled_from(["good", "lower", "bad", "short", "empty"]), max_size=9), st.integers(1, 4))
def test_rows_mean_the_same_with_quotes_and_without(kinds, chunk_rows):
    """Without quotes no CSV reader looks at them."""
    changes = {"lower": {"eui": "90-b3-d5-1f-30-a0-ff-ff"}, "bad": {"region": "West", "import_supplier": "x"}}
    plain = [line(number, **changes.get(kind, {})) for number, kind in enumerate(kinds)]
    plain = [{"short": "a,b", "empty": ""}.get(kind, text) for kind, text in zip(kinds, plain, strict=True)]
    quoted = [",".join(f'"{field}"' for field in text.split(",")) if text else "" for text in plain]

    def told(lines):
        chunks = read(document(*lines), chunk_rows=chunk_rows)
        return [hub for each in chunks for hub in each.hubs], [one for each in chunks for one in each.problems]

    assert told(plain) == told(quoted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (HEADER.replace("region", "regoin") + "\n", "unknown column 'regoin'; did you mean region?"),
        (HEADER.replace("region", "regoin") + "\n", "the column region is missing"),
        (HEADER + ",eui\n", "the column eui comes twice"),
        (HEADER + ",\n", "unknown column ''"),
        ('"eui"x\n', "not CSV"),
    ],
)
def test_a_header_that_cannot_be_used(text, message):
    with pytest.raises(InvalidFile, match=r"hubs\.csv") as caught:
        read(text)
    assert message in str(caught.value)


@given(st.lists(st.one_of(st.text(max_size=40), st.integers(0, 9).map(line)), max_size=12))
def test_whatever_a_file_holds_every_row_is_a_hub_or_bad(lines):
    text = [HEADER + "\n", *(each + "\n" for each in lines)]
    for chunk in read_inventory(text, "x", chunk_rows=4):
        assert 1 <= len(chunk.hubs) + chunk.bad_rows <= 4
        assert len({problem.line for problem in chunk.problems}) == chunk.bad_rows
        assert all(problem.line >= 2 for problem in chunk.problems)


# ------------------------------------------------------------------------------------------------------------- command


@pytest.fixture
def hubs_in(on_store):
    async def euis(store, numbers):
        return [number for number in numbers if await store.queries.hub(eui(number)) is not None]

    return lambda *numbers: on_store(lambda store: euis(store, numbers))


def test_import_counts_what_it_did(cli, tmp_path, hubs_in):
    file = tmp_path / "hubs.csv"
    file.write_text(document(line(1), line(2)))
    result = cli("inventory", "import", file, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"added": 2, "changed": 0, "unchanged": 0, "skipped": 0}
    file.write_text(document(line(1), line(2, region="South"), line(3)))
    result = cli("inventory", "import", file)
    assert result.stdout == ""
    assert "1 added, 1 changed, 1 unchanged, 0 skipped" in result.stderr
    assert hubs_in(1, 2, 3, 4) == [1, 2, 3]


def test_a_byte_order_mark_and_crlf_are_tolerated(cli, tmp_path, hubs_in):
    file = tmp_path / "hubs.csv"
    file.write_bytes(b"\xef\xbb\xbf" + document(line(1)).replace("\n", "\r\n").encode())
    assert cli("inventory", "import", file).exit_code == 0
    assert hubs_in(1) == [1]


def test_one_bad_line_and_nothing_is_imported(cli, tmp_path, hubs_in):
    file = tmp_path / "hubs.csv"
    file.write_text(document(*map(line, range(6000)), line(6001, region="West")))
    result = cli("inventory", "import", file)
    assert result.exit_code == 1
    assert f"{file}: line 6002, field region: 'West'" in result.stderr
    assert f"{file}: bad lines: 1" in result.stderr
    assert "--skip-bad" in result.stderr
    assert result.stdout == ""
    assert hubs_in(0, 1) == []


def test_skip_bad_imports_the_rest_and_still_reports(cli, tmp_path, hubs_in):
    file = tmp_path / "hubs.csv"
    file.write_text(document(line(1), line(2, status="Gone"), line(3)))
    result = cli("inventory", "import", file, "--skip-bad", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"added": 2, "changed": 0, "unchanged": 0, "skipped": 1}
    assert f"{file}: line 3, field status" in result.stderr
    assert hubs_in(1, 2, 3) == [1, 3]


def test_the_first_twenty_problems_are_shown_and_all_bad_lines_counted(cli, tmp_path):
    file = tmp_path / "hubs.csv"
    file.write_text(document(*(line(number, region="West") for number in range(25))))
    result = cli("inventory", "import", file)
    assert result.stderr.count("field region") == 20
    assert "bad lines: 25" in result.stderr


def test_stdin(cli, hubs_in):
    result = cli("inventory", "import", "-", stdin=document(line(1), line(2)))
    assert result.exit_code == 0
    assert hubs_in(1, 2) == [1, 2]


def test_octets_that_are_not_utf8_are_reported_where_they_stand(cli, tmp_path):
    file = tmp_path / "hubs.csv"
    file.write_bytes(document(line(1), line(2, model="Caf\xe9")).encode("latin-1"))
    result = cli("inventory", "import", file)
    assert result.exit_code == 1
    assert "line 3, field model" in result.stderr


def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(cli, tmp_path):
    file = tmp_path / "hubs.csv"
    file.write_text(HEADER + "\n" + "x" * (inventory.MAX_LINE + 1))
    result = cli("inventory", "import", file)
    assert result.exit_code == 1
    assert "line 2" in result.stderr


@pytest.mark.parametrize("longest", [inventory.MAX_LINE - 1, inventory.MAX_LINE])
@pytest.mark.parametrize("first", [0, 1, 500, 829, 830])
def test_a_line_may_be_as_long_as_one_block_wherever_it_begins(cli, tmp_path, hubs_in, longest, first):
    lines = [line(number) for number in range(first)]
    long = line(first, model="x" * (longest - len(line(first, model="")) - 1))
    file = tmp_path / "hubs.csv"
    file.write_text(document(*lines, long, line(first + 1)))
    result = cli("inventory", "import", file, "--skip-bad")
    if longest < inventory.MAX_LINE:
        assert f"line {first + 2}, field model" in result.stderr
        assert hubs_in(first, first + 1) == [first + 1]
    else:
        assert f"line {first + 2}: longer than 65536 octets" in result.stderr
        assert hubs_in(first + 1) == []


def test_the_last_line_needs_no_line_feed(cli, tmp_path, hubs_in):
    file = tmp_path / "hubs.csv"
    file.write_text(document(*map(line, range(2000))).removesuffix("\n"))
    assert cli("inventory", "import", file).exit_code == 0
    assert hubs_in(0, 1999) == [0, 1999]


def test_a_file_that_is_not_there(cli):
    result = cli("inventory", "import", "nowhere.csv")
    assert result.exit_code == 2
    assert "nowhere.csv: No such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_import_moves_its_progress_bar(cli, tmp_path, monkeypatch):
    reached = []
    monkeypatch.setattr("chfw_sr.cli.output.Bar.reached", lambda _, octets: reached.append(octets))
    file = tmp_path / "hubs.csv"
    file.write_text(document(*map(line, range(2500))))
    cli("inventory", "import", file)
    assert reached == list(range(0, file.stat().st_size, inventory.MAX_LINE))
    assert len(reached) > 2
