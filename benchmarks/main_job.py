"""Measures the main job on the embedded default: SQLite in a file, synchronous, one process.

    python benchmarks/main_job.py

Three jobs, each in a process of its own so that its peak memory is its own:

- one small Service Request (11.6 with two hubs, about 2 KB), step by step and whole;
- 11.6 with a Preferred Pilot List of 50,000 hubs;
- 11.30 with 10,000 activations of hubs that have two recipients each.

Prints a table: seconds are wall time; memory is the process's peak above what it held before the job.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chfw_sr import bootstrap
from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.model import Hub, User
from chfw_sr.messages import (
    EUI,
    Activation,
    ActivationResult,
    Body,
    CreateFirmwareCampaign,
    HubStatus,
    Period,
    PublishPilotPlan,
    Region,
    ReportFirmwareActivation,
    RequestID,
    Role,
    ServiceRequest,
    UpdatePilotPreferences,
    Window,
)
from chfw_sr.messages.identifiers import parse_campaign_id
from chfw_sr.service.ports import Delivery, Store, UserRecord
from chfw_sr.service.processor import Processor
from chfw_sr.service.replay import ManualClock
from chfw_sr.settings import Settings
from chfw_sr.wire import (
    Intake,
    Limits,
    Parsed,
    Schemas,
    Signer,
    TrustedCertificate,
    TrustStore,
    parse,
    verify,
    write_request,
)
from chfw_sr.wire.pki import issue, make_authority

START = datetime(2027, 1, 4, 9, tzinfo=UTC)
DAY = timedelta(days=1)
DCC = EUI("90-B3-D5-1F-30-00-00-02")
OPERATOR = EUI("90-B3-D5-1F-30-00-00-03")
SUPPLIER = EUI("90-B3-D5-1F-30-01-00-00")
GAS = EUI("90-B3-D5-1F-30-02-00-00")
CSP = EUI("90-B3-D5-1F-30-03-00-00")
CAMPAIGN = parse_campaign_id("BENCH")
HUBS = 60_000
SMALL_REQUESTS = 300


def hub_eui(number: int) -> EUI:
    text = f"{0x00DB_1234_0000_0000 + number:016X}"
    return EUI("-".join(text[place : place + 2] for place in range(0, 16, 2)))


@dataclass
class Bench:
    """A populated database, and what sends requests to it."""

    store: Store
    processor: Processor
    trust: TrustStore
    signers: dict[EUI, Signer]
    counter: int = 0

    def octets(self, sender: EUI, body: Body) -> bytes:
        self.counter += 1
        request_id = RequestID(originator=sender, target=DCC, counter=self.counter)
        return write_request(ServiceRequest(request_id=request_id, body=body), self.signers[sender])

    async def process(self, octets: bytes, code: str) -> float:
        began = time.perf_counter()
        (outcome,) = await self.processor.process([Delivery(octets, 1)])
        seconds = time.perf_counter() - began
        if outcome.code != code:
            raise RuntimeError(f"expected {code}, got {outcome}")
        return seconds


async def with_bench(job: Callable[[Bench], Awaitable[dict[str, float]]]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite+aiosqlite:///{folder}/bench.sqlite3", dcc_eui=DCC)
        await bootstrap.migrate(settings)
        async with bootstrap.open_store(settings) as store:
            return await job(await populated(settings, store))


async def populated(settings: Settings, store: Store) -> Bench:
    authority = make_authority("Bench Authority")
    signers, records = {}, []
    users = (
        User(OPERATOR, "Operator", frozenset({Role.DCC})),
        User(SUPPLIER, "Supplier", frozenset({Role.IS, Role.GS})),
        User(GAS, "Gas", frozenset({Role.GS})),
        User(CSP, "CSP", frozenset({Role.CSP}), regions=frozenset({Region.NORTH})),
        User(DCC, "DCC", frozenset()),
    )
    certificates = []
    for user in users:
        certificate, key = issue(authority, user.eui, user.name, START - DAY, START + 900 * DAY)
        signers[user.eui] = Signer.of(key, certificate)
        certificates.append(TrustedCertificate(certificate, user.eui))
        records.append(UserRecord(user, (certificates[-1],)))
    await store.register.save_users(records, START)
    await store.register.import_hubs(chunks(), START)
    clock = ManualClock(START)
    processor = Processor(
        store=store,
        intake=Intake(Schemas.load(), Limits(max_octets=settings.max_octets)),
        signer=signers[DCC],
        dcc=DCC,
        policy=Policy(),
        clock=clock,
    )
    bench = Bench(store, processor, TrustStore(certificates), signers)
    campaign = CreateFirmwareCampaign(
        campaign_id=CAMPAIGN,
        manufacturer="Acme",
        model="Hub-1",
        firmware_version="02.00",
        pilot_period=Period(start=START, end=START + 60 * DAY),
    )
    await bench.process(bench.octets(OPERATOR, campaign), "I99")
    plan = PublishPilotPlan(
        campaign_id=CAMPAIGN,
        response_deadline=START + 5 * DAY,
        default_schedule=(Window(window_id=1, start=START + 10 * DAY, end=START + 11 * DAY),),
        default_list=tuple(map(hub_eui, range(100))),
    )
    await bench.process(bench.octets(OPERATOR, plan), "I99")
    return bench


async def chunks() -> AsyncIterator[Sequence[Hub]]:
    for first in range(0, HUBS, 5000):
        yield [
            Hub(
                hub_eui(number),
                "Acme",
                "Hub-1",
                "01.00",
                Region.NORTH,
                HubStatus.COMMISSIONED,
                import_supplier=SUPPLIER,
                gas_supplier=GAS,
            )
            for number in range(first, first + 5000)
        ]


def peak_octets() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def small(bench: Bench) -> dict[str, float]:
    body = UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=(hub_eui(1), hub_eui(2)))
    documents = [bench.octets(SUPPLIER, body) for _ in range(SMALL_REQUESTS)]
    schemas, limits = Schemas.load(), Limits()
    intake = Intake(schemas, limits)
    parsed: list[Parsed] = []
    steps: dict[str, Callable[[bytes], object]] = {
        "parse": lambda octets: parsed.append(parse(octets, limits)),
        "schema": lambda _: schemas.validate(parsed[-1]),
        "signature": lambda _: verify(parsed[-1], bench.trust, START),
        "whole intake": lambda octets: intake(octets, bench.trust, START),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for octets in documents:
        for name, step in steps.items():
            began = time.perf_counter()
            step(octets)
            seconds[name].append(time.perf_counter() - began)
    whole = [await bench.process(octets, "I99") for octets in documents]
    result = {f"{name}, median s": statistics.median(values) for name, values in seconds.items()}
    began = time.perf_counter()
    batch = [Delivery(bench.octets(SUPPLIER, body), tag) for tag in range(100)]
    began = time.perf_counter()
    await bench.processor.process(batch)
    in_batch = (time.perf_counter() - began) / len(batch)
    return result | {
        "request octets": len(documents[0]),
        "octets in to commit, alone, median s": statistics.median(whole),
        "octets in to commit, in a batch of 100, s each": in_batch,
    }


async def preferences(bench: Bench) -> dict[str, float]:
    body = UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=tuple(map(hub_eui, range(50_000))))
    octets = bench.octets(SUPPLIER, body)
    before = peak_octets()
    cpu = time.process_time()
    seconds = await bench.process(octets, "I99")
    return {
        "request octets": len(octets),
        "octets in to commit, s": seconds,
        "CPU, s": time.process_time() - cpu,
        "peak memory above idle, MB": (peak_octets() - before) / 1e6,
    }


async def activations(bench: Bench) -> dict[str, float]:
    body = ReportFirmwareActivation(
        activations=tuple(
            Activation(device_id=hub_eui(number), firmware_version="02.00", at=START, result=ActivationResult.SUCCESS)
            for number in range(10_000)
        )
    )
    octets = bench.octets(CSP, body)
    before = peak_octets()
    cpu = time.process_time()
    seconds = await bench.process(octets, "I99")
    return {
        "request octets": len(octets),
        "alerts": 20_000,
        "octets in to commit, s": seconds,
        "CPU, s": time.process_time() - cpu,
        "peak memory above idle, MB": (peak_octets() - before) / 1e6,
    }


JOBS = {
    "one small request": small,
    "50,000-hub preference list": preferences,
    "10,000-hub activation report": activations,
}


def main() -> None:
    """Run each job in a process of its own, or the one that is named."""
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(with_bench(JOBS[sys.argv[1]]))))
        return
    for name in JOBS:
        done = subprocess.run([sys.executable, Path(__file__), name], check=True, capture_output=True, text=True)
        print(name)
        for figure, value in json.loads(done.stdout).items():
            print(f"    {figure:<48} {value:>12.6g}")


if __name__ == "__main__":
    main()
