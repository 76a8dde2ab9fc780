"""The page of `chfw-sr report --html`, read as a document and looked at in a browser."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from lxml import html

from chfw_sr.campaign.model import Cell, Participation, PhaseTimes
from chfw_sr.cli.report import summarise
from chfw_sr.cli.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart
from chfw_sr.cli.report.page import render
from chfw_sr.cli.report.summary import Reported, upcoming
from chfw_sr.messages import ActivationResult, Phase, Region, Stage
from chfw_sr.service.ports import CampaignView, FailuresByReason, HistoryRow, HourOfResults, Progress, SilentHub
from tests.contract.makers import ALICE, AT, BOB, C1, C2, DAY, HOUR, campaign, hub_eui, window

SUCCESS, FAILURE = ActivationResult.SUCCESS, ActivationResult.FAILURE
START = AT.replace(minute=0, second=0, microsecond=0) + 10 * DAY
NOW = START + 30 * HOUR
HOSTILE = "<script>alert(1)</script>\x1b[31m"
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def cell(supplier, region, day, devices, activated, failed):
    start = START + day * DAY
    parties = (Phase.PILOT, supplier, None, None, region)
    return Cell(*parties, day + 1, start, start + 6 * HOUR, devices, activated, failed)


CELLS = (
    cell(ALICE, Region.NORTH, 0, 4000, 3900, 60),
    cell(ALICE, Region.SOUTH, 1, 3000, 0, 0),
    cell(BOB, Region.NORTH, 1, 2000, 100, 0),
    cell(None, Region.SOUTH, 5, 500, 0, 0),
)
PROGRESS = Progress(
    hours=(
        *(HourOfResults(Phase.PILOT, START + number * HOUR, SUCCESS, 1000) for number in range(4)),
        HourOfResults(Phase.PILOT, START + 2 * HOUR, FAILURE, 60),
    ),
    failures=(FailuresByReason(Phase.PILOT, HOSTILE, 50), FailuresByReason(Phase.PILOT, None, 10)),
    silent=(SilentHub(hub_eui(7), Phase.PILOT, ALICE, Region.NORTH, START, START + 6 * HOUR),),
)
HISTORY = (HistoryRow(1, AT, "StageChanged", C1, ALICE, None, None, {"stage": "Pilot", "reason": HOSTILE}),)


def reported(campaign_id=C1, cells=CELLS, progress=PROGRESS, **fields) -> Reported:
    known = {"stage": Stage.PILOT, "pilot": PhaseTimes(START, START + 6 * DAY, START), "next_status_at": NOW + HOUR}
    one = campaign(campaign_id, **known | fields)
    view = CampaignView(one, (Participation(campaign_id, ALICE, default_devices=7000),), tuple(cells))
    return Reported(view, summarise(one, cells, NOW), progress, HISTORY, upcoming(one))


def page(*campaigns: Reported) -> str:
    return render(campaigns or (reported(),), {ALICE: f"Alice & {HOSTILE}"}, NOW)


def text_of(document: str) -> str:
    return " ".join(html.fromstring(document).find("body").text_content().split())


# -------------------------------------------------------------------------------------------------------- as a document


def test_it_tells_how_far_the_campaign_is() -> None:
    text = text_of(page())
    for part in (
        "C1 Pilot",
        "Pilot: running",
        "9,500devices",
        "4,000activated 42.1%",
        "60failed 0.6%",
        "4,940pending",
        "500scheduled",
        "Safe Launch: not started yet",
        "Failures by reason",
        "none given10",
        "4,940 hubs, of which 1 stand here",
        "No Supplier",
        "(in 1 hour) The daily status report is sent (N909).",
        "(in 4 days) The last window of the Pilot ends.",
    ):
        assert part in text, part


def test_what_came_in_from_outside_does_nothing() -> None:
    document = page()
    assert "<script" not in document
    assert "\x1b" not in document
    assert text_of(document).count("<script>alert(1)</script>\\x1b[31m") >= 3


def test_it_needs_nothing_else() -> None:
    tree = html.fromstring(page(reported(), reported(C2)))
    links = [link for _, _, link, _ in tree.iterlinks()]
    assert links
    assert all(link.startswith("#campaign-") for link in links)
    assert not tree.xpath("//script | //link | //img | //iframe")


def test_every_row_of_a_table_has_a_heading_and_as_many_cells_as_the_header() -> None:
    for table in html.fromstring(page()).xpath("//main//table"):
        columns = len(table.xpath("./thead/tr/th[@scope='col']"))
        for row in table.xpath("./tbody/tr"):
            assert len(row) == columns
            assert row[0].get("scope") == "row"


def test_pictures_are_told_in_words_too() -> None:
    pictures = html.fromstring(page()).xpath("//*[@role='img']")
    assert all(each.get("aria-label") for each in pictures)
    assert "Pilot over time: 9500 hubs planned, 4000 activated, 60 failed" in {
        each.get("aria-label") for each in pictures
    }


def test_without_a_campaign_it_says_so() -> None:
    assert "There is no campaign yet." in text_of(render([], {}, NOW))


@pytest.mark.parametrize("stage", Stage)
def test_what_happens_next_is_told_for_every_stage(stage) -> None:
    one = campaign(
        stage=stage,
        response_deadline=START,
        default_schedule=(window(2), window(1)),
        pilot=PhaseTimes(START, START + DAY),
        safe_launch=PhaseTimes(START, START + DAY),
        next_status_at=None,
    )
    coming = upcoming(one)
    assert bool(coming) == one.is_live
    assert [each.at for each in coming if each.at] == sorted(each.at for each in coming if each.at)
    assert ("the campaign is over" in text_of(page(replace(reported(), upcoming=coming)))) == (not one.is_live)


# ------------------------------------------------------------------------------------------------------------ the chart


def points(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())]


def test_the_chart_adds_up_within_its_frame() -> None:
    drawn = chart(CELLS, PROGRESS.hours, NOW)
    assert drawn is not None
    for line in (drawn.planned, drawn.activated, drawn.failed):
        found = points(line)
        assert found == sorted(found, key=lambda point: (point[0], -point[1])), "nothing is taken back"
        assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in found)
    assert points(drawn.planned)[0] == (LEFT, HEIGHT - BOTTOM)
    assert points(drawn.planned)[-1] == (WIDTH - RIGHT, TOP)
    assert points(drawn.activated)[-1][0] == drawn.now
    per_hub = (HEIGHT - TOP - BOTTOM) / 9500
    assert points(drawn.activated)[-1][1] == pytest.approx(HEIGHT - BOTTOM - 4000 * per_hub, abs=0.1)


@pytest.mark.parametrize("devices", [1, 7, 10, 99, 100_000, 17_000_000])
@pytest.mark.parametrize("length", [HOUR, DAY, 30 * DAY, 900 * DAY])
def test_axes_have_a_few_marks_whatever_the_size(devices, length) -> None:
    one = replace(CELLS[0], devices=devices, ends_at=CELLS[0].starts_at + length)
    drawn = chart([one], (), NOW)
    assert drawn is not None
    assert 1 <= len(drawn.across) <= 9
    assert 2 <= len(drawn.up) <= 6
    assert len({tick.label for tick in drawn.across}) == len(drawn.across)


def test_a_phase_without_hubs_has_no_chart() -> None:
    assert chart([], (), NOW) is None


def test_results_from_before_the_windows_widen_the_chart() -> None:
    early = HourOfResults(Phase.PILOT, START - 2 * DAY, SUCCESS, 5)
    drawn = chart(CELLS, [early], START - DAY)
    assert drawn is not None
    assert drawn.now is not None
    assert points(drawn.activated)[0][0] == LEFT
    assert chart(CELLS, [early], START + 400 * DAY).now is None


# --------------------------------------------------------------------------------------------------------- in a browser

PROBE = """<script>
const lines = [getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth <= innerWidth,
  [...document.querySelectorAll("svg")].every(each => each.getBoundingClientRect().height > 100),
  performance.getEntriesByType("resource").length];
document.title = JSON.stringify(lines);
</script>"""
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is not looked at in a browser")
class TestInABrowser:
    def browse(self, tmp_path, *options: str) -> bytes:
        (tmp_path / "page.html").write_text(page(reported(), reported(C2)).replace("</body>", f"{PROBE}</body>"))
        command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *options]
        return subprocess.run(
            [*command, (tmp_path / "page.html").as_uri()], capture_output=True, check=True, timeout=120
        ).stdout

    @pytest.mark.parametrize("width", [1000, 500])
    @pytest.mark.parametrize(("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(20, 23, 27)")])
    def test_it_fits_in_either_colour_scheme(self, tmp_path, scheme, paper, width) -> None:
        options = (f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},800", "--dump-dom")
        title = html.fromstring(self.browse(tmp_path, *options)).findtext(".//title")
        assert title == f'["{paper}",true,true,0]'

    def test_it_prints(self, tmp_path) -> None:
        self.browse(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
        printed = (tmp_path / "page.pdf").read_bytes()
        assert printed.startswith(b"%PDF-")
        assert 2 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 8
