"""The service: `python -m benchmarks.straightforward.service DATABASE AMQP SCHEMAS KEY CERTIFICATE COUNT`.

It prints a line when it is ready, takes COUNT messages, up to `PREFETCH` at a time, prints a line and ends.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from .documents import Documents, Preferences
from .models import Campaign, Certificate, History, Hub, Inbox, Nomination, Preference, User

REQUESTS, RESPONSES, ALERTS = "plain.requests", "plain.responses", "plain.alerts"
DCC = "90-B3-D5-1F-30-00-00-02"
PREFETCH = 20


class Refused(Exception):  # noqa: N818 - it names the outcome
    """A request that is not accepted, by its response code."""


class Service:
    """Takes messages.

    Args:
        sessions: makes database sessions.
        documents: reads and writes XML.
        responses: where Service Responses go.
        alerts: where alerts go.
    """

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        documents: Documents,
        responses: AbstractExchange,
        alerts: AbstractExchange,
    ) -> None:
        self._sessions = sessions
        self._documents = documents
        self._responses = responses
        self._alerts = alerts

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Process a message, answer it, acknowledge it."""
        root = self._documents.parse(message.body)
        async with self._sessions() as session:
            certificate = await session.get(Certificate, self._documents.serial(root))
            if certificate is None:
                raise Refused("E902")
            request = self._documents.read(self._documents.verify(message.body, certificate.pem))
            if request.originator != certificate.holder:
                raise Refused("E902")
            refused = await self._decide(session, request)
            code = "W110601" if refused else "I99"
            response = self._documents.response(request, code)
            inbox = Inbox(
                request_id=request.request_id,
                digest=request.digest,
                code=code,
                response=response,
                received_at=datetime.now(UTC),
            )
            session.add(inbox)
            await session.flush()
            response_id = f"{DCC}:{request.originator}:{inbox.id}"
            outcome = "N903" if refused else "N902"
            accepted = len(request.hubs) - len(refused)
            alert = self._documents.alert(request, response_id, outcome, accepted, refused)
            await session.commit()
        await self._publish(self._responses, request.originator, request.request_id, "11.6", response)
        await self._publish(self._alerts, f"{request.originator}.{outcome}", response_id, outcome, alert)
        await message.ack()

    async def _decide(self, session: AsyncSession, request: Preferences) -> list[str]:
        """Check a request against what is known, and write down what it wants; give the hubs that are refused."""
        if request.target != DCC:
            raise Refused("E904")
        if await session.scalar(select(Inbox).where(Inbox.request_id == request.request_id)):
            raise Refused("E903")
        user = await session.get(User, request.originator)
        if user is None or user.status != "Active":
            raise Refused("E3")
        if user.role != "IS":
            raise Refused("E2")
        campaign = await session.get(Campaign, request.campaign_id, with_for_update=True)
        if campaign is None:
            raise Refused("E110601")
        if campaign.stage != "PilotConsultation" or datetime.now(UTC) > campaign.response_deadline:
            raise Refused("E110602")
        hubs = {hub.eui: hub for hub in await session.scalars(select(Hub).where(Hub.eui.in_(request.hubs)))}
        accepted = [eui for eui in request.hubs if (hub := hubs.get(eui)) and _can_take(hub, campaign, user)]
        others = select(Nomination.hub).where(
            Nomination.campaign_id == campaign.campaign_id,
            Nomination.hub.in_(accepted),
            Nomination.supplier != user.eui,
        )
        taken = set(await session.scalars(others))
        accepted = [eui for eui in accepted if eui not in taken]
        if not accepted:
            raise Refused("E110603")
        await session.execute(
            delete(Nomination).where(Nomination.campaign_id == campaign.campaign_id, Nomination.supplier == user.eui)
        )
        session.add_all(
            Nomination(campaign_id=campaign.campaign_id, hub=eui, supplier=user.eui, position=position)
            for position, eui in enumerate(accepted)
        )
        preference = await session.get(Preference, (campaign.campaign_id, user.eui))
        if preference is None:
            preference = Preference(campaign_id=campaign.campaign_id, supplier=user.eui)
            session.add(preference)
        if request.schedule is not None:
            preference.schedule = request.schedule
        session.add(
            History(
                at=datetime.now(UTC),
                kind="PreferencesUpdated",
                campaign_id=campaign.campaign_id,
                user=user.eui,
                request_id=request.request_id,
                detail={"hubs": len(accepted)},
            )
        )
        return [eui for eui in request.hubs if eui not in set(accepted)]

    @staticmethod
    async def _publish(exchange: AbstractExchange, key: str, message_id: str, kind: str, octets: bytes) -> None:
        message = aio_pika.Message(
            octets,
            content_type="application/xml",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=message_id,
            type=kind,
            timestamp=datetime.now(UTC),
        )
        await exchange.publish(message, key, mandatory=True)


def _can_take(hub: Hub, campaign: Campaign, user: User) -> bool:
    return (
        user.eui in (hub.import_supplier, hub.gas_supplier)
        and hub.status == "Commissioned"
        and (hub.manufacturer, hub.model) == (campaign.manufacturer, campaign.model)
        and hub.firmware_version != campaign.firmware_version
    )


async def run(database: str, amqp: str, documents: Documents, count: int) -> None:
    """Take so many messages."""
    engine = create_async_engine(database)
    connection = await aio_pika.connect_robust(amqp)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    responses = await channel.get_exchange(RESPONSES)
    alerts = await channel.get_exchange(ALERTS)
    service = Service(async_sessionmaker(engine, expire_on_commit=False), documents, responses, alerts)
    queue = await channel.get_queue(REQUESTS)
    taken, done = 0, asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal taken
        await service.take(message)
        taken += 1
        if taken == count:
            done.set()

    await queue.consume(take)
    print("ready", flush=True)
    await done.wait()
    print("done", flush=True)
    await connection.close()
    await engine.dispose()


if __name__ == "__main__":
    database_url, amqp_url, schemas, key, certificate, number = sys.argv[1:]
    asyncio.run(
        run(
            database_url,
            amqp_url,
            Documents(Path(schemas), Path(key).read_bytes(), Path(certificate).read_bytes()),
            int(number),
        )
    )
