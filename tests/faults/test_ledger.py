"""The ledger finds what it is there to find."""

from dataclasses import replace

import pytest

from .ledger import Arrival, Evidence, Ledger, OutboxRow

SUPPLIER, CSP = "90-B3-D5-1F-30-01-00-00", "90-B3-D5-1F-30-04-00-00"
HUB = "00-DB-12-34-00-00-00-01"
REPORT = f"{CSP}:DCC:1"
UPDATE = f"{SUPPLIER}:DCC:1"


class Story:
    """A report and an update of preferences, as they should go; the tests take something out or put something in."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.rows: list[OutboxRow] = []
        self.evidence = Evidence(
            inbox={REPORT: True, UPDATE: True}, outbox=(), activations={(HUB, "Success"): 1}, campaigns={"CH-1": (1, 1)}
        )
        for request_id, srv in ((REPORT, "11.30"), (UPDATE, "11.6")):
            self.ledger.sending(request_id, srv, ["I99"])
        self.ledger.owes(SUPPLIER, "N64", HUB)

    def happens(self, *, without: str | None = None) -> "Story":
        self.message(1, "response", CSP, "r1", "I99", REPORT, without)
        self.message(2, "alert", SUPPLIER, "a2", "N64", HUB, without)
        self.message(3, "alert", CSP, "a3", "N911", REPORT, without)
        self.message(4, "response", SUPPLIER, "r4", "I99", UPDATE, without)
        self.message(5, "alert", SUPPLIER, "a5", "N902", UPDATE, without)
        return self

    def message(self, number, kind, recipient, message_id, code, subject, without=None) -> None:
        self.row(number, kind, recipient, message_id)
        if message_id != without:
            self.arrives(kind, recipient, message_id, code, subject)

    def row(self, number, kind, recipient, message_id, *, finished=True) -> None:
        self.rows.append(OutboxRow(number, kind, recipient, message_id, message_id.encode(), finished))

    def arrives(self, kind, recipient, message_id, code, subject, digest=None) -> None:
        queue = f"{kind}s.{recipient}"
        digest = digest or message_id.encode()
        arrival = Arrival(queue, recipient, message_id, code, digest, self.ledger.tick(), subject, b"content")
        self.ledger.arrivals[queue, message_id, digest] = arrival
        request = self.ledger.requests.get(subject)
        if kind == "response" and request and request.answered is None:
            request.answered, request.code = arrival.at, code

    def found(self, **changes) -> set[str]:
        verdict = self.ledger.judge(replace(self.evidence, outbox=tuple(self.rows), **changes))
        return {name for name, count in verdict.counts.items() if count}


def test_a_good_story_is_clean():
    assert Story().happens().found() == set()


@pytest.mark.parametrize("message_id", ["r1", "a2", "a3", "r4", "a5"])
def test_what_does_not_arrive_is_lost(message_id):
    assert Story().happens(without=message_id).found() == {"lost"}


def test_a_reply_that_does_not_come_is_lost():
    story = Story().happens()
    story.ledger.requests[UPDATE].reply_to = "somewhere"
    assert story.found() == {"lost"}
    story.ledger.replies[UPDATE] += 1
    assert story.found() == set()


def test_a_good_request_in_quarantine_is_lost():
    story = Story().happens()
    story.ledger.quarantined += ["garbage", UPDATE]
    assert story.found() == {"lost"}


def test_what_is_told_under_two_message_ids_is_doubled():
    story = Story().happens()
    story.message(6, "alert", SUPPLIER, "a6", "N64", HUB)
    assert story.found() == {"doubled"}


@pytest.mark.parametrize(
    "changes",
    [
        {"activations": {(HUB, "Success"): 2}},
        {"campaigns": {"CH-1": (2, 1)}},
        {"repeated_history": ("Nominated CH-1",)},
    ],
)
def test_what_is_in_the_database_twice_is_doubled(changes):
    assert Story().happens().found(**changes) == {"doubled"}


def test_an_alert_that_is_not_in_the_outbox_is_a_ghost():
    story = Story().happens()
    story.rows = [row for row in story.rows if row.message_id != "a3"]
    assert story.found() == {"ghosts"}


@pytest.mark.parametrize("changes", [{"inbox": {REPORT: True}}, {"activations": {}}])
def test_an_alert_without_its_cause_is_a_ghost(changes):
    assert Story().happens().found(**changes) == {"ghosts"}


def test_a_campaign_alert_needs_its_campaign():
    story = Story().happens()
    story.message(6, "alert", SUPPLIER, "a6", "N905", "CH-1")
    story.ledger.owes(SUPPLIER, "N905", "CH-1")
    assert story.found() == set()
    assert story.found(campaigns={}) == {"ghosts"}


def test_rows_that_are_not_finished_are_stuck():
    story = Story().happens()
    story.row(6, "response", SUPPLIER, "r6", finished=False)
    assert story.found() == {"stuck"}
    assert story.found(inbox={REPORT: True, UPDATE: False}) == {"stuck"}


def test_an_older_message_of_one_transaction_that_arrives_later_is_an_inversion():
    story = Story().happens()
    for number in (7, 6):
        story.message(number, "alert", SUPPLIER, f"a{number}", "N906", f"CH-{number}")
        story.ledger.owes(SUPPLIER, "N906", f"CH-{number}")
    assert story.found(campaigns={"CH-6": (0, 0), "CH-7": (0, 0)}) == {"inversions"}


def test_messages_of_different_transactions_have_no_order_among_them():
    story = Story().happens()
    for number in (2**17, 2**16):
        story.message(number, "alert", SUPPLIER, f"a{number}", "N906", f"CH-{number}")
        story.ledger.owes(SUPPLIER, "N906", f"CH-{number}")
    assert story.found(campaigns={f"CH-{2**16}": (0, 0), f"CH-{2**17}": (0, 0)}) == set()


def test_an_alert_of_an_earlier_request_that_arrives_later_is_an_inversion():
    story = Story()
    story.message(1, "response", SUPPLIER, "r1", "I99", UPDATE)
    story.ledger.sending(later := f"{SUPPLIER}:DCC:2", "11.6", ["I99"])
    story.message(2**17, "response", SUPPLIER, "r2", "I99", later)
    story.message(2**17 + 1, "alert", SUPPLIER, "a2", "N902", later)
    story.message(2**18, "alert", SUPPLIER, "a1", "N902", UPDATE)
    assert "inversions" in story.found(inbox={UPDATE: True, later: True})


def test_other_octets_under_one_message_id_are_altered():
    story = Story().happens()
    story.arrives("alert", CSP, "a3", "N911", REPORT, digest=b"other")
    assert "altered" in story.found()


def test_two_contents_under_one_request_id_may_have_two_responses():
    story = Story().happens()
    story.ledger.requests[UPDATE].contents = 2
    story.rows.append(OutboxRow(6, "response", SUPPLIER, "r4", b"other", finished=True))
    story.arrives("response", SUPPLIER, "r4", "E903", UPDATE, digest=b"other")
    assert story.found() == set()


def test_an_alert_that_was_kept_and_came_again_counts_once():
    story = Story().happens()
    story.arrives("unrouted", SUPPLIER, "a2", "N64", HUB)
    kept = story.ledger.arrivals.pop((f"unrouteds.{SUPPLIER}", "a2", b"a2"))
    story.ledger.arrivals[f"unrouted.{SUPPLIER}", "a2", b"a2"] = replace(kept, queue=f"unrouted.{SUPPLIER}")
    assert story.found() == set()


def test_a_code_that_cannot_be_is_wrong():
    story = Story()
    story.ledger.requests[UPDATE].codes = frozenset({"I0"})
    assert story.happens().found() == {"wrong"}


def test_a_message_that_arrives_again_is_counted_and_no_more():
    ledger = Ledger()
    ledger.sending(UPDATE, "11.6", ["I99"])
    octets = (
        '<Response xmlns="http://www.dccinterface.co.uk/ServiceUserGateway"><Header>'
        f"<RequestID>{UPDATE}</RequestID><ResponseCode>I99</ResponseCode></Header><Body/></Response>"
    ).encode()
    assert ledger.arrived(f"responses.{SUPPLIER}", "r1", octets) is not None
    assert ledger.arrived(f"responses.{SUPPLIER}", "r1", octets) is None
    assert (ledger.duplicates, ledger.requests[UPDATE].code) == (1, "I99")
