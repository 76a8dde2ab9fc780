"""Requests, activations, and processes side by side: what they cost, how fast they are, how far from the floors."""

from collections.abc import Sequence

from . import floors_amqp, floors_documents, floors_sql
from .figures import figure
from .floors import Floors, of_alert, of_request
from .load import Repetition
from .report import Report, Section
from .site import REPORTED, Site, say
from .straightforward import bench as straightforward


def floors(site: Site, report: Report) -> Floors:
    """Measure every floor."""
    say("floors")
    size = site.size
    documents = site.mix.usual(500)
    repetitions = max(3, size.repetitions)
    found = dict(floors_documents.measure(documents, site.mix.report(REPORTED), repetitions=repetitions))
    found |= floors_amqp.measure(site.servers, site.meter, repetitions=repetitions, count=size.floor)
    found |= floors_sql.measure(site.servers, site.meter, repetitions=repetitions, count=size.floor)
    report.floors(found)
    return found


def requests(site: Site, report: Report, floors: Floors) -> list[Repetition]:
    """Goal 1: the usual mix, everything on, one process; and beside it the straightforward service."""
    floor = report.sum_of("Floor of a request of the usual mix", of_request(floors, site.mix.usual(1000)))
    with site.product.running():
        say("requests, usual mix")
        usual = site.repetitions(site.mix.usual)
        say("requests, 11.6 alone")
        alone = site.repetitions(site.mix.preferences)
    section = report.section(
        "Requests", "From RabbitMQ to the last confirm, one `chfw-sr run` with its default settings."
    )
    _requests(section, "usual mix", usual)
    cost = [each.request_us for each in usual]
    section.add("usual mix, CPU ÷ floor", figure([each / floor for each in cost], "x"), "at most 2 x")
    _requests(section, "11.6 alone", alone)
    say("the straightforward service, 11.6 alone")
    plain = straightforward.measure(
        site.servers, site.world, site.mix, site.meter, repetitions=site.size.repetitions, count=site.size.plain
    )
    _requests(section, "straightforward service, 11.6 alone", plain)
    slow = figure([each.requests_per_second for each in plain], "/s").median
    faster = [each.requests_per_second / slow for each in alone]
    section.add("11.6: times the speed of the straightforward service", figure(faster, "x"), "at least 10 x")
    dear = figure([each.request_us for each in plain], "µs").median
    section.add("11.6: its CPU ÷ ours", figure([dear / each.request_us for each in alone], "x"))
    return usual


def _requests(section: Section, name: str, done: Sequence[Repetition]) -> None:
    section.add(f"{name}, requests a second", figure([each.requests_per_second for each in done], "/s"))
    section.add(f"{name}, CPU a request", figure([each.request_us for each in done], "µs"))
    for group in done[0].cost.cpu:
        values = [each.cost.cpu[group] / each.requests * 1e6 for each in done]
        section.add(f"{name}, of it {group}", figure(values, "µs"))


def activations(site: Site, report: Report, floors: Floors, *, reports: int) -> None:
    """Goal 2: reports of 10,000 hubs with two recipients each."""
    floor = report.sum_of("Floor of an alert", of_alert(floors, site.mix.reports(1, REPORTED)))
    say(f"activations, {reports} reports of {REPORTED} hubs")
    with site.product.running():
        done = site.reports(reports, site.size.repetitions)
    alerts = done[0].alerts
    section = report.section(
        "Activations", f"{reports} reports of {REPORTED:,} hubs, two recipients each: {alerts:,} alerts at a time."
    )
    section.add("alerts a second", figure([each.alerts / each.cost.wall for each in done], "/s"), "at least 8,000")
    section.add("CPU an alert", figure([each.alert_us for each in done], "µs"))
    for group in done[0].cost.cpu:
        section.add(f"of it {group}", figure([each.cost.cpu[group] / each.alerts * 1e6 for each in done], "µs"))
    section.add("CPU ÷ floor", figure([each.alert_us / floor for each in done], "x"), "at most 1.8 x")


def side_by_side(site: Site, report: Report, one: Sequence[Repetition] | None, where: str) -> None:
    """Goal 6: one process and two.

    Args:
        site: where.
        report: where to.
        one: what one process did, if that is known.
        where: names the servers.
    """
    if one is None:
        say(f"one process, {where}")
        with site.product.running():
            one = site.repetitions(site.mix.usual)
    say(f"two processes, {where}")
    with site.product.running(2):
        two = site.repetitions(site.mix.usual)
    section = report.section(f"Scale-out, {where}", "The usual mix; the servers have the same two cores.")
    _requests(section, "one process", one)
    _requests(section, "two processes", two)
    base = figure([each.requests_per_second for each in one], "/s").median
    section.add("speed of two ÷ one", figure([each.requests_per_second / base for each in two], "x"))
