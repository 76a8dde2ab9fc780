"""`chfw-sr inbox`, `outbox` and `quarantine`: what came in, what goes out, and what could not be attributed."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from chfw_sr.service.ports import InboxEntry, OutboxEntry, OutboxStatus, Quarantined, Store

from .app import CommandError, command, command_group, with_store
from .output import Json, JsonOption, plain, print_fields, print_json, print_table, visible

inbox_app = command_group("inbox", "Look at the Service Requests that were answered.")
outbox_app = command_group("outbox", "Look at the messages to be published.")
quarantine_app = command_group("quarantine", "Look at input that could not be attributed.")

LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most N.")]


@command(inbox_app, "list")
def list_inbox(context: typer.Context, limit: LimitOption = 100, json_output: JsonOption = False) -> None:
    """List the newest Service Requests that were answered, newest first.

    A conflict is a request whose RequestID other content had claimed before.

    Example:
      chfw-sr inbox list --limit 20
    """

    async def newest(store: Store) -> Sequence[InboxEntry]:
        return await store.queries.inbox(limit)

    found = with_store(context, newest)
    if json_output:
        print_json(found)
        return
    rows = [(each.received_at, each.request_id, each.srv, each.code, each.conflict) for each in found]
    print_table(("received", "request", "SRV", "code", "conflict"), rows)


@command(outbox_app, "list")
def list_outbox(
    context: typer.Context,
    status: Annotated[OutboxStatus | None, typer.Option(help="Only messages of this status.")] = None,
    limit: LimitOption = 100,
    json_output: JsonOption = False,
) -> None:
    """List the oldest messages of the outbox, in the order in which they are published.

    Example:
      chfw-sr outbox list --status Ready
    """

    async def oldest(store: Store) -> Sequence[OutboxEntry]:
        return await store.queries.outbox(status, limit)

    found = with_store(context, oldest)
    if json_output:
        print_json([_outbox_entry(each) for each in found])
        return
    rows = [
        (
            each.message.id,
            each.status,
            each.attempts,
            each.message.kind,
            each.message.recipient,
            each.message.type,
            each.message.message_id,
            len(each.message.octets),
        )
        for each in found
    ]
    print_table(("id", "status", "attempts", "kind", "recipient", "type", "message", "octets"), rows)


def _outbox_entry(each: OutboxEntry) -> dict[str, Json]:
    message = each.message
    return {
        "id": message.id,
        "kind": message.kind,
        "recipient": message.recipient,
        "message_id": message.message_id,
        "type": message.type,
        "octets": len(message.octets),
        "created_at": plain(message.created_at),
        "correlation_id": message.correlation_id,
        "headers": plain(message.headers),
        "status": each.status,
        "attempts": each.attempts,
        "published_at": plain(each.published_at),
    }


@command(quarantine_app, "list")
def list_quarantine(context: typer.Context, limit: LimitOption = 100, json_output: JsonOption = False) -> None:
    """List the newest input that could not be attributed, newest first.

    Example:
      chfw-sr quarantine list
    """

    async def newest(store: Store) -> Sequence[Quarantined]:
        return await store.queries.quarantined(limit)

    found = with_store(context, newest)
    if json_output:
        print_json([_header(each) for each in found])
        return
    rows = [
        (each.id, each.received_at, each.code, len(each.octets), each.replayed_at, each.source, each.reason)
        for each in found
    ]
    print_table(("id", "received", "code", "octets", "replayed", "source", "reason"), rows)


@command(quarantine_app, "show")
def show_quarantine(
    context: typer.Context,
    item_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="Number in `quarantine list`.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write the octets alone, untouched.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Show one input that could not be attributed: why, and its octets.

    Control characters and what is not UTF-8 are shown as escapes; --raw writes the octets as they came.

    Example:
      chfw-sr quarantine show 7
      chfw-sr quarantine show 7 --raw > 7.xml
    """

    async def item(store: Store) -> Quarantined | None:
        return await store.queries.quarantined_item(item_id)

    found = with_store(context, item)
    if found is None:
        raise CommandError(f"nothing in quarantine has the number {item_id}; see: chfw-sr quarantine list")
    if raw:
        sys.stdout.buffer.write(found.octets)
        sys.stdout.buffer.flush()
        return
    text = found.octets.decode("utf-8", "backslashreplace")
    if json_output:
        print_json(_header(found) | {"content": text})
        return
    print_fields(_header(found))
    typer.echo()
    typer.echo(visible(text))


def _header(each: Quarantined) -> dict[str, Json]:
    return {
        "id": each.id,
        "code": str(each.code),
        "reason": each.reason,
        "received_at": plain(each.received_at),
        "reply_to": each.reply_to,
        "correlation_id": each.correlation_id,
        "source": each.source,
        "replayed_at": plain(each.replayed_at),
        "octets": len(each.octets),
    }
