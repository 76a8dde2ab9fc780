"""What is asked for many needs at once: statements that are built once, each over tables of keys that are given.

Keys are given as tables; of statements that are asked together each has names of its own for what it is given. A
statement finds its rows by an index, one key after the other (`SqlDialect.with_each`), whatever the planner believes of
how many there are.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    column,
    false,
    func,
    or_,
    select,
    true,
    union_all,
)

from chfw_sr.campaign.model import Participation
from chfw_sr.messages import Phase

from .columns import KEY
from .dialects import SqlDialect
from .mapping import HUB
from .tables import LIVE, activations, campaign_hubs, campaigns, cells, counters, hubs, participations, users
from .workspace import BULK

USER = (column("eui", KEY),)
HUBS = column("eui", KEY)
"""Hubs are a listed table: there may be as many as fit a list."""

CAMPAIGN = (column("campaign_id", KEY),)
PART = (column("campaign_id", KEY), column("user_eui", KEY))
RESULT = (activations.c.hub, activations.c.firmware_version, activations.c.at)
TARGETS = (
    column("number", Integer),
    *PART,
    column("manufacturer", KEY),
    column("model", KEY),
    column("region", KEY),
    column("firmware_version", KEY),
)
"""A User's hubs in one region that a campaign may target; `number` tells them apart."""

PROOFS = (
    *PART,
    column("hub", KEY),
    column("manufacturer", KEY),
    column("model", KEY),
    column("firmware_version", KEY),
)
"""A hub that proved that a User is responsible for a target of a campaign."""

_IN_PILOT = campaign_hubs.c.phase == Phase.PILOT.value
_PARTIES = (hubs.c.import_supplier, hubs.c.gas_supplier, hubs.c.electricity_distributor, hubs.c.gas_transporter)


def users_named(dialect: SqlDialect) -> Select[Any]:
    """Find Users by name, and all operators."""
    named = select(dialect.given("users", USER).c.eui)
    return select(users).where(or_(users.c.eui.in_(named), users.c.is_operator)).order_by(users.c.eui)


def trust_revision(_dialect: SqlDialect) -> Select[Any]:
    """Read the number that changes whenever a certificate or a contact does."""
    return select(counters.c.value).where(counters.c.name == "trust")


def models_locked(dialect: SqlDialect) -> Select[Any]:
    """Lock the models of hubs, and for ourselves those of campaigns that are to be launched."""
    named = dialect.listed("modelled", HUBS)
    launched = select(dialect.given("launched", CAMPAIGN).c.campaign_id)
    owned = select(campaigns.c.manufacturer, campaigns.c.model, true().label("own"))
    each, hub = dialect.with_each(named, hubs, hubs.c.eui == named.c.eui)
    shared = select(hub.manufacturer, hub.model, false().label("own")).select_from(each)
    both = union_all(shared, owned.where(campaigns.c.campaign_id.in_(launched))).subquery("both")
    return dialect.locking_keys(select(both.c.manufacturer, both.c.model, both.c.own).distinct())


def campaigns_locked(dialect: SqlDialect) -> Select[Any]:
    """Lock campaigns that are named, and live ones that hold hubs, in the order in which everybody does it.

    An outer join here, too; a hub that no campaign holds gives NULL, which is among nothing.
    """
    row, hub = campaign_hubs.c, dialect.listed("held", HUBS)
    living = dialect.some(campaigns, campaigns.c.campaign_id == row.campaign_id, LIVE)
    each, place = dialect.with_each(hub, campaign_hubs, and_(row.hub == hub.c.eui, row.held, living), or_none=True)
    holders = select(place.campaign_id).select_from(each)
    named = select(dialect.given("campaigns", CAMPAIGN).c.campaign_id)
    among = dialect.among_found(campaigns.c.campaign_id, select(named.union(holders).subquery("either").c.campaign_id))
    return dialect.for_update(select(campaigns).where(among).order_by(campaigns.c.campaign_id))


def hubs_named(dialect: SqlDialect) -> Select[Any]:
    """Lock wanted hubs, in the order in which everybody does it."""
    return _locked(dialect, HUB)


def hubs_counted(dialect: SqlDialect) -> Select[Any]:
    """Lock wanted hubs in the same order, and fetch none."""
    return select(func.count()).select_from(_locked(dialect, ["eui"]).subquery())


def hubs_locked_alike(dialect: SqlDialect) -> Select[Any]:
    """Lock wanted hubs in the same order, and give them as `hubs_alike` does."""
    return _alike(_locked(dialect, HUB))


def hubs_alike(dialect: SqlDialect) -> Select[Any]:
    """Find wanted hubs: a row for all that are alike, which begins with their names, then has the others of `HUB`.

    Thousands of hubs are of a few models, regions and Users: a row for each would cost both sides several times more.
    """
    return _alike(_wanted_hubs(dialect, HUB))


def _alike(found: Select[Any]) -> Select[Any]:
    within = found.subquery("found")
    alike = [within.c[name] for name in HUB if name != "eui"]
    return select(func.aggregate_strings(within.c.eui, " "), *alike).group_by(*alike)


def _wanted_hubs(dialect: SqlDialect, names: Sequence[str]) -> Select[Any]:
    """Find wanted hubs; a join, since the hubs of an IN are sorted or hashed first to find those that come twice."""
    named = dialect.listed("wanted", HUBS)
    return select(*(hubs.c[name] for name in names)).join_from(named, hubs, hubs.c.eui == named.c.eui)


def _locked(dialect: SqlDialect, names: Sequence[str]) -> Select[Any]:
    return dialect.for_update(_wanted_hubs(dialect, names).order_by(hubs.c.eui), of=hubs)


def places_alike(dialect: SqlDialect) -> Select[Any]:
    """Find the places of wanted hubs in live campaigns that hold them: a row for all hubs whose places are alike.

    A row begins with the hubs' names, and goes on as `to_membership` takes it. The later phase comes last.
    """
    row = campaign_hubs.c
    named = dialect.listed("wanted", HUBS)
    allotted = row.cell_id.is_not(None).label("allotted")
    alike = (row.campaign_id, row.phase, row.default_supplier, row.nominated_by, allotted, row.outcome)
    held = select(func.aggregate_strings(row.hub, " "), *alike).join_from(
        named, campaign_hubs, and_(row.hub == named.c.eui, row.held)
    )
    live = held.join(campaigns, campaigns.c.campaign_id == row.campaign_id).where(LIVE)
    return live.group_by(*alike).order_by(row.phase)


def rows_of_hubs(dialect: SqlDialect) -> Select[Any]:
    """Find the rows of wanted hubs in `searched` campaigns and in live ones that hold them; an empty row for others.

    An outer join, so that SQLite does not begin with what `searched` campaigns hold either.
    """
    row = campaign_hubs.c
    named = dialect.listed("wanted", HUBS)
    searched = select(dialect.given("searched", CAMPAIGN).c.campaign_id)
    living = dialect.some(campaigns, campaigns.c.campaign_id == row.campaign_id, LIVE)
    found = and_(row.hub == named.c.eui, or_(and_(row.held, living), row.campaign_id.in_(searched)))
    each, its = dialect.with_each(named, campaign_hubs, found, or_none=True)
    columns = (its.hub, its.campaign_id, its.phase, its.default_supplier, its.nominated_by, its.cell_id, its.outcome)
    return select(*columns, its.held).select_from(each)


def participations_of(dialect: SqlDialect) -> Select[Any]:
    """Find the participations of everybody in campaigns."""
    named = dialect.given("everybody", CAMPAIGN)
    each, part = dialect.with_each(named, participations, participations.c.campaign_id == named.c.campaign_id)
    return select(*part).select_from(each)


def participations_named(dialect: SqlDialect) -> Select[Any]:
    """Find the participations of single Suppliers."""
    named = _parts(dialect, "participants")
    each, part = dialect.with_each(named, participations, _own(participations.c, named.c))
    return select(*part).select_from(each)


def cells_of(dialect: SqlDialect) -> Select[Any]:
    """Find the cells of wanted campaigns, in the order of their making."""
    named = dialect.given("celled", CAMPAIGN)
    each, cell = dialect.with_each(named, cells, cells.c.campaign_id == named.c.campaign_id)
    return select(*cell).select_from(each).order_by(cell.id)


def results_recorded(dialect: SqlDialect) -> Select[Any]:
    """Find those of results that are recorded."""
    named = dialect.given("results", RESULT)
    same = and_(*(activations.c[each.name] == named.c[each.name] for each in RESULT))
    each, result = dialect.with_each(named, activations, same)
    return select(*(result[one.name] for one in RESULT)).select_from(each)


def hubs_nominated(dialect: SqlDialect) -> Select[Any]:
    """Find the Preferred Pilot Lists of parts, in list order; longer lists are left where they are."""
    row = campaign_hubs.c
    named = _parts(dialect, "nominating")
    own = and_(row.campaign_id == named.c.campaign_id, row.nominated_by == named.c.user_eui, _IN_PILOT)
    each, its = dialect.with_each(named, campaign_hubs, own)
    found = select(its.campaign_id, its.nominated_by, its.hub, its.default_supplier).select_from(each)
    return found.where(_is_short(dialect, named)).order_by(its.nominated_position)


def hubs_listed(dialect: SqlDialect) -> Select[Any]:
    """Find the parts of the Default Pilot List of parts, in list order; longer lists are left where they are."""
    row = campaign_hubs.c
    named = _parts(dialect, "listed")
    own = and_(row.campaign_id == named.c.campaign_id, row.default_supplier == named.c.user_eui, _IN_PILOT)
    each, its = dialect.with_each(named, campaign_hubs, own)
    found = select(its.campaign_id, its.default_supplier, its.hub).select_from(each)
    return found.where(_is_short(dialect, named)).order_by(its.default_position)


def hubs_confirmed(dialect: SqlDialect) -> Select[Any]:
    """Find the confirmed Pilot Lists of parts, in list order; longer lists are left where they are."""
    named = _parts(dialect, "listed")
    own = and_(
        cells.c.campaign_id == named.c.campaign_id,
        cells.c.phase == Phase.PILOT.value,
        cells.c.supplier == named.c.user_eui,
    )
    each, cell = dialect.with_each(named, cells, own)
    of_each, its = dialect.with_each(each, campaign_hubs, campaign_hubs.c.cell_id == cell.id)
    found = select(cell.campaign_id, cell.supplier, its.hub).select_from(of_each)
    return found.where(_is_short(dialect, named)).order_by(its.position)


def is_short(part: Participation) -> bool:
    """Tell whether a User's lists in a campaign are to be kept; the statements ask the same."""
    return max(part.default_devices, part.nominated_devices or 0, part.pilot_devices) <= BULK


def _is_short(dialect: SqlDialect, named: FromClause) -> ColumnElement[bool]:
    """Tell the same of a row of parts."""
    part = participations.c
    counts = (part.default_devices, part.nominated_devices, part.pilot_devices)
    return ~dialect.some(participations, _own(part, named.c), or_(*(count > BULK for count in counts)))


def _parts(dialect: SqlDialect, name: str) -> FromClause:
    return dialect.given(name, PART)


def _own(part: Any, named: Any) -> ColumnElement[bool]:
    return and_(part.campaign_id == named.campaign_id, part.supplier == named.user_eui)


def proofs_found(dialect: SqlDialect) -> Select[Any]:
    """Find those of the wanted hubs that still are targets in a User's care, each with its region."""
    named = dialect.given("proofs", PROOFS)
    target = and_(
        hubs.c.eui == named.c.hub,
        or_(*(party == named.c.user_eui for party in _PARTIES)),
        hubs.c.manufacturer == named.c.manufacturer,
        hubs.c.model == named.c.model,
        hubs.c.firmware_version != named.c.firmware_version,
    )
    each, hub = dialect.with_each(named, hubs, target)
    return select(named.c.campaign_id, named.c.user_eui, named.c.hub, hub.region).select_from(each)


def targets_found(dialect: SqlDialect) -> Select[Any]:
    """Find a hub for each number of wanted ranges that is a target there, or was one.

    A target runs a version before or after the campaign's, in the order of the User's indexes. If none of the ranges by
    a number has one, a hub is looked for that runs the campaign's version and has a place in the campaign: of these
    there may be very many without a place.

    The place is a value that is looked up for one hub at a time: an EXISTS the planner may turn into a join that reads
    all places first.
    """
    named = dialect.given("targets", TARGETS)
    version = hubs.c.firmware_version
    first = [
        select(hubs.c.eui).where(*_of_party(party, named.c), other).order_by(version).limit(1).correlate(named)
        for party in _PARTIES
        for other in (version < named.c.firmware_version, version > named.c.firmware_version)
    ]
    each = select(*named.c, func.coalesce(*(one.scalar_subquery() for one in first)).label("target")).subquery("each")
    targeted = func.max(each.c.target).over(partition_by=each.c.number).label("targeted")
    ranges = select(*each.c, targeted).subquery("ranges")
    row = campaign_hubs.c
    phases = [phase.value for phase in Phase]
    place = select(row.hub).where(row.campaign_id == ranges.c.campaign_id, row.phase.in_(phases))
    own = place.where(row.hub == hubs.c.eui).limit(1).correlate(ranges, hubs).scalar_subquery()
    same = version == ranges.c.firmware_version
    former = [
        select(hubs.c.eui).where(*_of_party(party, ranges.c), same, own.is_not(None)).limit(1).correlate(ranges)
        for party in _PARTIES
    ]
    witness = func.coalesce(ranges.c.targeted, *(one.scalar_subquery() for one in former))
    return select(ranges.c.number, witness.label("witness"))


def _of_party(party: ColumnElement[Any], named: Any) -> tuple[ColumnElement[bool], ...]:
    """Make the conditions of a range in a party's index: that of gas leaves out whose electricity is the same's."""
    indexed = (party.is_distinct_from(hubs.c.import_supplier),) if party is hubs.c.gas_supplier else ()
    return (
        party == named.user_eui,
        *indexed,
        hubs.c.manufacturer == named.manufacturer,
        hubs.c.model == named.model,
        hubs.c.region == named.region,
    )
