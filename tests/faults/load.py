"""The load: clients that send one request after the other, wait for each response, and note what is owed to whom."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from chfw_sr.campaign.model import Hub
from chfw_sr.messages import (
    EUI,
    Action,
    Activation,
    ActivationResult,
    Body,
    CampaignID,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    Period,
    PublishPilotPlan,
    ReadCampaignStatus,
    ReadPilotPlan,
    Region,
    ReportFirmwareActivation,
    UpdateCampaignState,
    UpdatePilotPreferences,
    Window,
)

from .evidence import Sender
from .ledger import Arrival, Ledger, Request
from .scene import MANUFACTURER, NEW, NORTH, OPERATOR, SOUTH, SUPPLIERS, Scene, lead, responsible

DAY = timedelta(days=1)
REPLIES = "clients.replies"
GARBAGE = b"<not a request"
PLANNED = 6
"""Hubs of a campaign that Suppliers nominate; the others are reported by their CSPs, and so cannot be."""

NO_CAMPAIGN = CampaignID("no-such-campaign")


class Load:
    """Clients of all Users, and what they have agreed among themselves.

    Attributes:
        over: set from outside; nothing new is begun then.
        clocked: the campaigns that the clock is to lead through their pilot.
        sender: takes requests to the bus.

    Args:
        scene: who they are.
        ledger: where they note what they send and what is owed.
        sender: takes their requests to the bus.
        seed: of everything that is left to chance.
        patience_seconds: after which a request without a response is sent again; None is never.
    """

    def __init__(
        self, scene: Scene, ledger: Ledger, sender: Sender, *, seed: int, patience_seconds: float | None = None
    ) -> None:
        self._scene = scene
        self._ledger = ledger
        self.sender = sender
        self._random = random.Random(seed)
        self._patience = patience_seconds
        self._waiting: dict[str, asyncio.Event] = {}
        self._open: list[int] = []
        self._opened = asyncio.Event()
        self.over = asyncio.Event()
        self.clocked: set[CampaignID] = set()
        self.garbage = 0

    @property
    def waiting(self) -> int:
        """How many requests have no response yet."""
        return sum(not each.is_set() for each in self._waiting.values())

    def heard(self, arrival: Arrival) -> None:
        """Learn of a response; called by the subscribers."""
        if arrival.queue.startswith("responses.") and (waiting := self._waiting.get(arrival.subject)):
            waiting.set()

    async def run(self, *, rounds: int, width: int = 1, clocked: int = 0) -> None:
        """Play everything, until it is done or `over` is set; then every request has a response.

        Args:
            rounds: of each client.
            width: how many clients each Supplier and CSP has.
            clocked: how many campaigns the clock is to lead through their pilot; their hubs come last in the scene.
        """
        campaigns = self._scene.campaigns - clocked
        async with asyncio.TaskGroup() as group:
            group.create_task(self._operator(range(campaigns)))
            for each in range(clocked):
                group.create_task(self._clocked(campaigns + each))
            for _ in range(width):
                for supplier in SUPPLIERS:
                    group.create_task(self._supplier(supplier, rounds))
                group.create_task(self._csp(NORTH, Region.NORTH, rounds))
                group.create_task(self._csp(SOUTH, Region.SOUTH, rounds))

    async def ask_last(self) -> None:
        """Send a request after all others, and wait for its response."""
        hub = self._scene.hubs_of(0)[0].eui
        await self.ask(SUPPLIERS[0], UpdatePilotPreferences(campaign_id=NO_CAMPAIGN, preferred_list=(hub,)), "E110601")

    async def ask(self, sender: EUI, body: Body, *codes: str, copies: int = 1, reply_to: str | None = None) -> str:
        """Send a request, perhaps more than once, and wait for its response; give the response code."""
        code = (await self._ask(sender, body, *codes, copies=copies, reply_to=reply_to)).code
        assert code is not None
        return code

    async def _ask(self, sender: EUI, body: Body, *codes: str, copies: int = 1, reply_to: str | None = None) -> Request:
        request_id, octets = self._scene.request(sender, body)
        srv = str(body.srv)
        self._waiting[request_id] = asyncio.Event()
        request = self._ledger.sending(request_id, srv, codes, reply_to=reply_to)
        await self.sender.send(octets, srv, reply_to=reply_to)
        for _ in range(copies - 1):  # a client that signs again on a retry
            _, again = self._scene.request(sender, body, request.counter)
            await self.sender.send(again, srv)
        await self._answer(request_id, lambda: self.sender.send(octets, srv, reply_to=reply_to))
        return request

    async def _answer(self, request_id: str, again: Callable[[], Awaitable[None]]) -> None:
        while not self._waiting[request_id].is_set():
            try:
                async with asyncio.timeout(self._patience):
                    await self._waiting[request_id].wait()
            except TimeoutError:
                await again()
        del self._waiting[request_id]

    def _copies(self) -> int:
        return self._random.choice((1, 1, 1, 2, 3))

    # ------------------------------------------------------------------------------------------------------- operator

    async def _operator(self, campaigns: Sequence[int]) -> None:
        """Create, publish, pause and resume campaigns, one after the other; Suppliers may answer afterwards."""
        for number in campaigns:
            if self.over.is_set():
                return
            await self._garbage()
            now = datetime.now(UTC)
            await self._create(number, Period(start=now, end=now + 60 * DAY), notice_days=7)
            await self.ask(OPERATOR, self._creation(number, Period(start=now, end=now + DAY), 7), "E112003")
            window = Window(window_id=1, start=now + 10 * DAY, end=now + 11 * DAY)
            await self._publish(number, now + 5 * DAY, window)
            for action in (Action.PAUSE, Action.RESUME):
                body = UpdateCampaignState(campaign_id=_name(number), action=action, reason=f"{action} {number}")
                await self.ask(OPERATOR, body, "I99", copies=self._copies())
                self._owe_stage(number)
            for csp, region in ((NORTH, Region.NORTH), (SOUTH, Region.SOUTH)):
                await self._report(
                    csp, [each for each in self._scene.hubs_of(number)[PLANNED:] if each.region is region]
                )
            self._open.append(number)
            self._opened.set()

    async def _clocked(self, number: int) -> None:
        """Create a campaign whose deadline and windows come at once; the clock does the rest."""
        now = datetime.now(UTC)
        await self._create(number, Period(start=now, end=now + 60 * DAY), notice_days=0)
        for _ in range(20):
            now = datetime.now(UTC)
            window = Window(window_id=1, start=now + timedelta(seconds=3), end=now + timedelta(seconds=4))
            if await self._publish(number, now + timedelta(seconds=2.5), window, "E112104", "E112105", "E112106"):
                self._owe_clock(number)
                return

    async def _create(self, number: int, period: Period, notice_days: int) -> None:
        await self.ask(OPERATOR, self._creation(number, period, notice_days), "I99", copies=self._copies())

    def _creation(self, number: int, period: Period, notice_days: int) -> CreateFirmwareCampaign:
        return CreateFirmwareCampaign(
            campaign_id=_name(number),
            manufacturer=MANUFACTURER,
            model=f"Hub-{number}",
            firmware_version=NEW,
            pilot_period=period,
            minimum_notice_days=notice_days,
        )

    async def _publish(self, number: int, deadline: datetime, window: Window, *refusals: str) -> bool:
        hubs = self._scene.hubs_of(number)
        plan = PublishPilotPlan(
            campaign_id=_name(number),
            response_deadline=deadline,
            default_schedule=(window,),
            default_list=tuple(each.eui for each in hubs),
        )
        if await self.ask(OPERATOR, plan, "I99", *refusals, copies=self._copies()) != "I99":
            return False
        for supplier in {lead(each) for each in hubs}:
            self._ledger.owes(supplier, "N901", _name(number))
        self._owe_stage(number)
        return True

    def _owe_clock(self, number: int) -> None:
        """Note what the clock owes: confirmed, begun, complete."""
        for _ in range(3):
            self._owe_stage(number)
        for supplier in {lead(each) for each in self._scene.hubs_of(number)}:
            self._ledger.owes(supplier, "N905", _name(number))
        self.clocked.add(_name(number))

    def _owe_stage(self, number: int) -> None:
        for each in ({lead(one) for one in self._scene.hubs_of(number)}) | {OPERATOR}:
            self._ledger.owes(each, "N906", _name(number))

    async def _garbage(self) -> None:
        self.garbage += 1
        await self.sender.send(GARBAGE + str(self.garbage).encode(), "11.6")

    # ------------------------------------------------------------------------------------------------------ suppliers

    async def _supplier(self, supplier: EUI, rounds: int) -> None:
        for _ in range(rounds):
            if not self._open:
                await self._first_opened()
            if self.over.is_set():
                return
            await self._supplier_round(supplier, self._random.choice(self._open))

    async def _first_opened(self) -> None:
        waiting = [asyncio.create_task(each.wait()) for each in (self._opened, self.over)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _supplier_round(self, supplier: EUI, number: int) -> None:
        campaign = _name(number)
        hubs = self._scene.hubs_of(number)[:PLANNED]
        own = [each.eui for each in hubs if lead(each) == supplier]
        others = [each.eui for each in hubs if supplier not in responsible(each)]
        chosen = tuple(self._random.sample(own, self._random.randint(1, len(own))))
        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: self.ask(
                supplier,
                UpdatePilotPreferences(campaign_id=campaign, preferred_list=chosen),
                "I99",
                copies=self._copies(),
                reply_to=REPLIES,
            ),
            lambda: self.ask(
                supplier,
                UpdatePilotPreferences(campaign_id=campaign, preferred_list=(*chosen, *others[:2])),
                "W110601",
                copies=self._copies(),
            ),
            lambda: self.ask(supplier, ReadPilotPlan(campaign_id=campaign), "I0", copies=self._copies()),
            lambda: self.ask(supplier, ReadCampaignStatus(campaign_id=campaign), "I0"),
            lambda: self.ask(supplier, DeletePilotPreferences(campaign_id=campaign), "I99", copies=self._copies()),
            lambda: self.ask(
                supplier, UpdatePilotPreferences(campaign_id=NO_CAMPAIGN, preferred_list=chosen), "E110601"
            ),
            lambda: self._conflict(supplier, campaign, chosen),
        ]
        for step in self._random.sample(steps, 4):
            await step()

    async def _conflict(self, supplier: EUI, campaign: CampaignID, chosen: tuple[EUI, ...]) -> None:
        """Use a RequestID again with other content: that has a response and an alert of its own (E903)."""
        request = await self._ask(supplier, ReadPilotPlan(campaign_id=campaign), "I0")
        request.contents = 2
        self._ledger.owes(supplier, "N904", request.request_id)
        body = UpdatePilotPreferences(campaign_id=campaign, preferred_list=chosen)
        _, octets = self._scene.request(supplier, body, request.counter)
        await self.sender.send(octets, "11.6")

    # ----------------------------------------------------------------------------------------------------------- CSPs

    async def _csp(self, csp: EUI, region: Region, rounds: int) -> None:
        for _ in range(rounds):
            if self.over.is_set() or not (hubs := self._scene.fresh(region, 3)):
                return
            await self._report(csp, hubs)

    async def _report(self, csp: EUI, hubs: Sequence[Hub]) -> None:
        """Report hubs, some of them as failed, now and then twice or with a stranger among them."""
        at = datetime.now(UTC) - timedelta(minutes=10)
        activations = tuple(self._activation(each, at) for each in hubs)
        for each, activation in zip(hubs, activations, strict=True):
            code = "N64" if activation.result is ActivationResult.SUCCESS else "N908"
            for supplier in responsible(each):
                self._ledger.owes(supplier, code, each.eui)
        body = ReportFirmwareActivation(activations=activations)
        await self.ask(csp, body, "I99", copies=self._copies())
        match self._random.randrange(4):
            case 0:  # the same results under another RequestID: nothing is done and nobody told
                await self.ask(csp, body, "I99")
            case 1:
                stranger = activations[0].model_copy(update={"device_id": EUI("00-DB-FF-FF-FF-FF-FF-FF")})
                await self.ask(csp, ReportFirmwareActivation(activations=(*activations, stranger)), "W113001")

    def _activation(self, one: Hub, at: datetime) -> Activation:
        if self._random.random() < 0.8:
            return Activation(device_id=one.eui, firmware_version=NEW, at=at, result=ActivationResult.SUCCESS)
        return Activation(
            device_id=one.eui,
            firmware_version=NEW,
            at=at,
            result=ActivationResult.FAILURE,
            failure_reason="power was lost",
        )


def _name(number: int) -> CampaignID:
    return CampaignID(f"CH-{number}")
