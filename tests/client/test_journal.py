"""The journal: counters, what was sent, what came back, what was told, what was set aside; across restarts."""

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chfw_sr.client.journal import Inbound, Journal, JournalError, Noted, Reused
from chfw_sr.messages import SRV, RequestID, ResponseID

from .parts import DCC, OTHER, SUPPLIER

SOME = ResponseID(originator=DCC, target=SUPPLIER, counter=1)
FAR = RequestID(originator=SUPPLIER, target=DCC, counter=2**62)


def plain(request_id: RequestID) -> tuple[bytes, bytes]:
    return str(request_id).encode(), b"digest"


def make(journal: Journal, originator=SUPPLIER):
    return journal.make(originator, DCC, SRV.READ_PILOT_PLAN, plain)


def test_counters_grow_by_one_from_the_microseconds_of_the_first(journal):
    before = datetime.now(UTC).timestamp() * 1_000_000
    first, second = make(journal), make(journal)
    assert first.request_id.counter >= int(before)
    assert second.request_id.counter == first.request_id.counter + 1
    assert second.octets == str(second.request_id).encode()


def test_counters_never_go_back_across_restarts(journal):
    journal.record(FAR, "11.5", b"x", b"d")
    journal.close()
    again = Journal(journal.path)
    assert make(again).request_id.counter == 2**62 + 1
    assert make(again, OTHER).request_id.counter < 2**62
    again.close()


def test_a_counter_is_used_up_only_if_its_request_was_written_down(journal):
    first = make(journal)
    with pytest.raises(ZeroDivisionError):
        journal.make(SUPPLIER, DCC, SRV.READ_PILOT_PLAN, lambda _: 1 // 0)
    assert make(journal).request_id.counter == first.request_id.counter + 1


def test_counters_of_two_processes_are_never_the_same(journal):
    with Journal(journal.path) as other, ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: make(journal if number % 2 else other).request_id, range(40)))
    assert len(set(made)) == 40


def test_a_counter_beyond_what_sqlite_counts_is_recorded_all_the_same(journal):
    largest = RequestID(originator=SUPPLIER, target=DCC, counter=2**64 - 1)
    journal.record(largest, "11.5", b"x", b"d")
    assert journal.entry(largest).octets == b"x"
    assert make(journal).request_id.counter < 2**63


def test_the_same_content_signed_anew_gives_the_octets_of_the_first_time(journal):
    journal.record(FAR, "11.5", b"signed once", b"content")
    assert journal.record(FAR, "11.5", b"signed twice", b"content").octets == b"signed once"
    with pytest.raises(Reused, match="other content"):
        journal.record(FAR, "11.5", b"z", b"other content")


def test_what_is_unanswered_is_known_after_a_restart(journal):
    one, two = make(journal), make(journal)
    assert journal.answered(one.request_id, b"response") is Noted.NEW
    journal.close()
    with Journal(journal.path) as again:
        assert [each.request_id for each in again.unanswered()] == [two.request_id]
        assert again.unanswered()[0].octets == two.octets
        assert again.entry(one.request_id).response == b"response"


@pytest.mark.parametrize("note", [Journal.answered, Journal.ended])
def test_what_came_back_is_noted_once(journal, note):
    request_id = make(journal).request_id
    assert note(journal, request_id, b"a") is Noted.NEW
    assert note(journal, request_id, b"a") is Noted.REPEAT
    assert note(journal, request_id, b"b") is Noted.OTHER
    assert b"a" in (journal.entry(request_id).response, journal.entry(request_id).outcome)
    assert note(journal, FAR, b"a") is Noted.UNKNOWN


def test_what_was_told_stays_told(journal):
    other = SOME.model_copy(update={"counter": 2**64 - 1})
    journal.tell([(SOME, b"d")])
    journal.tell([(SOME, b"e"), (other, b"f")])
    journal.close()
    with Journal(journal.path) as again:
        unknown = SOME.model_copy(update={"counter": 3})
        assert again.told([SOME, other, unknown]) == {str(SOME): b"d", str(other): b"f"}


def test_what_is_set_aside_is_kept_once_a_queue_until_it_is_dropped(journal):
    for inbound in (Inbound.ALERTS, Inbound.ALERTS, Inbound.RESPONSES):
        journal.put_aside(inbound, b"<bad/>", "why")
    (kept,) = journal.set_aside(Inbound.ALERTS)
    assert (kept.octets, kept.reason) == (b"<bad/>", "why")
    journal.drop_aside(kept.id)
    assert journal.set_aside(Inbound.ALERTS) == []
    assert len(journal.set_aside(Inbound.RESPONSES)) == 1


def test_forgetting_spares_what_is_open_and_counters(journal):
    open_request, done = make(journal), make(journal)
    journal.answered(done.request_id, b"r")
    journal.tell([(SOME, b"d")])
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert journal.forget(later - timedelta(days=1)) == 0
    assert journal.forget(later) == 2
    assert [each.request_id for each in journal.unanswered()] == [open_request.request_id]
    assert journal.entry(done.request_id) is None
    assert make(journal).request_id.counter == done.request_id.counter + 1


def test_the_file_is_its_owners(journal):
    assert stat.S_IMODE(Path(journal.path).stat().st_mode) == 0o600


def test_what_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "text"
    path.write_text("this is not a database at all, and long enough to be looked at" * 20)
    with pytest.raises(JournalError, match="not a journal"):
        Journal(path)
    with pytest.raises(JournalError, match="not a journal"):
        Journal(tmp_path / "no" / "such" / "folder")


def test_a_journal_of_another_version_is_refused(journal):
    journal.close()
    with sqlite3.connect(journal.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="version 99"):
        Journal(journal.path)
