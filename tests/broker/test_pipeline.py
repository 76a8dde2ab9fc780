"""Which messages leave when: against every sequence of answers."""

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.broker import pipeline
from chfw_sr.broker.pipeline import RUN, Caution, Pipeline
from chfw_sr.service.ports import MessageKind, OutboxMessage, PublishResult

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = {"in_flight": 1000, "in_flight_octets": 10**9}
CONFIRMED, FAILED, UNROUTABLE = PublishResult.CONFIRMED, PublishResult.FAILED, PublishResult.UNROUTABLE


def message(number: int, recipient: str = "a", message_id: str | None = None, octets: bytes = b"-") -> OutboxMessage:
    return OutboxMessage(number, MessageKind.ALERT, recipient, message_id or f"m{number}", "N64", octets, AT)


@given(
    recipients=st.lists(st.sampled_from("abc"), max_size=30),
    ids=st.lists(st.integers(0, 5), min_size=30, max_size=30),
    sizes=st.lists(st.integers(0, 9), min_size=30, max_size=30),
    in_flight=st.integers(1, 8),
    octets=st.integers(1, 20),
    bound=st.integers(1, 4),
    data=st.data(),
)
def test_order_bounds_and_ids_hold_whatever_is_answered(recipients, ids, sizes, in_flight, octets, bound, data):
    messages = [
        message(number, recipient, f"id{ids[number]}", b"x" * sizes[number])
        for number, recipient in enumerate(recipients)
    ]
    caution = Caution(bound)
    line = Pipeline(messages, caution, in_flight=in_flight, in_flight_octets=octets)
    left, under_way, failed = [], [], set()
    while not line.done:
        for index in line.departures():
            left.append(index)
            under_way.append(index)
            assert messages[index].recipient not in failed
            assert len(under_way) <= in_flight
            assert sum(sizes[each] for each in under_way) <= octets or len(under_way) == 1
            assert len({messages[each].message_id for each in under_way}) == len(under_way)
            assert Counter(messages[each].recipient for each in under_way).most_common(1)[0][1] <= bound
        assert line.under_way == len(under_way)
        if under_way:
            index = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            result = data.draw(st.sampled_from(PublishResult))
            line.arrived(index, result)
            if result is FAILED:
                failed.add(messages[index].recipient)

    for recipient in "abc":
        own = [index for index, each in enumerate(messages) if each.recipient == recipient]
        sent = [index for index in left if messages[index].recipient == recipient]
        assert sent == own[: len(sent)]  # in order, none left out
        assert recipient in failed or sent == own
    assert all(line.results[index] is FAILED for index in set(range(len(messages))) - set(left))


def test_a_recipient_that_refused_is_served_one_at_a_time_until_a_run_of_confirms():
    caution = Caution(10)
    caution.refused("a")
    line = Pipeline([message(number) for number in range(RUN + 5)], caution, **ALL)
    for number in range(RUN):
        assert list(line.departures()) == [number]
        line.arrived(number, CONFIRMED)
    assert list(line.departures()) == list(range(RUN, RUN + 5))


def test_a_refusal_interrupts_the_run():
    caution = Caution(10)
    for _ in range(2):
        caution.refused("a")
        for _ in range(RUN - 1):
            caution.confirmed("a")
    assert (caution.bound("a"), caution.bound("b")) == (1, 10)


def test_a_bounded_number_of_recipients_is_remembered(monkeypatch):
    monkeypatch.setattr(pipeline, "MOST_REMEMBERED", 2)
    caution = Caution(10)
    for recipient in ("a", "b", "a", "c"):
        caution.refused(recipient)
    assert [caution.bound(recipient) for recipient in "abc"] == [1, 10, 1]


def test_one_recipient_that_waits_does_not_hold_up_the_others():
    line = Pipeline([message(number, "aab"[number % 3]) for number in range(6)], Caution(1), **ALL)
    assert list(line.departures()) == [0, 2]
    line.arrived(2, CONFIRMED)
    assert list(line.departures()) == [5]
    line.arrived(0, UNROUTABLE)
    assert list(line.departures()) == [1]


def test_after_a_stop_nothing_leaves():
    line = Pipeline([message(number, octets=b"") for number in range(3)], Caution(1), **ALL)
    assert list(line.departures()) == [0]
    line.stop()
    assert not line.done
    line.arrived(0, CONFIRMED)
    assert list(line.departures()) == []
    assert line.done
    assert line.results == [CONFIRMED, FAILED, FAILED]
