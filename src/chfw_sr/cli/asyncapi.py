"""`chfw-sr asyncapi`: every channel and message as an AsyncAPI 3 document, made from the catalogue and the topology."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

import typer

from chfw_sr import __version__
from chfw_sr.broker.names import ALERTS, QUARANTINE, REQUESTS, RESPONSES, UNROUTED
from chfw_sr.broker.topology import Queue, Topology
from chfw_sr.messages import ALERTS as ALERT_ENTRIES
from chfw_sr.messages import EUI, SERVICE_REFERENCES, SRV, AlertCode
from chfw_sr.messages import RESPONSES as RESPONSE_ENTRIES
from chfw_sr.service.ports import HEADER_CODE, HEADER_REASON, HEADER_RECEIVED

from .app import app, command
from .output import Json, JsonOption

_Object = dict[str, Json]

_USER: Final = EUI("{user}")
"""Stands for a User's EUI in the names of its queues."""

_MEDIA_TYPE: Final = "application/xml"
_BINDING: Final = "0.3.0"
_NAMESPACE: Final = "http://www.dccinterface.co.uk/ServiceUserGateway"

_PAYLOADS: Final[Mapping[str, str]] = {
    "PilotPlan": "Answers 11.5: this Supplier's own plan.",
    "SafeLaunchPlan": "Answers 11.8: the schedule, and this Supplier's hubs in it.",
    "CampaignStatus": "Answers 11.9: counts of hubs, as the reader may see them.",
    "PilotPreferencesWarning": "Answers 11.6 with W110601: the hubs that were refused, by reason.",
    "FirmwareActivationWarning": "Answers 11.30 with W113001: the hubs that were refused.",
    "Fault": "Answers whatever was refused: why, and for a schema fault where.",
    "Acknowledgement": "Answers what was done and has no payload: I99.",
}


@command(app, "asyncapi")
def asyncapi(json_output: JsonOption = False) -> None:
    """Print every channel and message as an AsyncAPI 3 document, in YAML.

    It is what a User's program meets on RabbitMQ: exchanges, queues, routing keys, headers, and for each message its
    element, its schema and an example.

    Example:
      chfw-sr asyncapi > docs/asyncapi.yaml
    """
    typer.echo(json.dumps(document(), indent=2, ensure_ascii=False) + "\n" if json_output else page(), nl=False)


def page() -> str:
    """Give the page that `docs/` holds."""
    return f"# Made by `chfw-sr asyncapi`; do not edit.\n{yaml(document())}"


def document() -> _Object:
    """Give the document."""
    requests, responses, alerts = _requests(), _responses(), _alerts()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Service Requests for Communications Hub firmware campaigns (SECMP0024, Option 1)",
            "version": __version__,
            "description": (
                "Signed XML documents in the form of DUIS, over AMQP 0-9-1. The operations are the service's: a User "
                "sends what it receives, and receives what it sends. Every message is persistent; every queue is a "
                "quorum queue. Files that x-schema and x-example name lie relative to this document."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _MEDIA_TYPE,
        "servers": {
            "rabbitmq": {
                "host": "{broker}:5671",
                "protocol": "amqps",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ 3.10 or newer; the virtual host is the operator's to choose.",
                "variables": {"broker": {"description": "The machine.", "default": "broker.example.org"}},
            }
        },
        "channels": _channels(list(requests), list(responses), list(alerts)),
        "operations": _operations(),
        "components": {
            "messages": requests | responses | alerts | {"quarantined": _quarantined()},
            "schemas": {"document": _DOCUMENT},
            "correlationIds": {
                "reply": {
                    "description": "The request's correlation_id, else its RequestID.",
                    "location": "$message.header#/correlation_id",
                }
            },
        },
    }


_DOCUMENT: Final[_Object] = {
    "type": "string",
    "contentMediaType": _MEDIA_TYPE,
    "description": "An XML document in UTF-8, signed: enveloped, ECDSA on P-256 with SHA-256.",
    "x-schema": "../schemas/ServiceUserGateway.xsd",
    "x-namespace": _NAMESPACE,
}


# ------------------------------------------------------------------------------------------------------- channels


def _channels(requests: list[str], responses: list[str], alerts: list[str]) -> _Object:
    queues = {queue.name: queue for queue in (Topology.of_service() + Topology.of_users([_USER])).queues}
    user: _Object = {"user": {"description": "The User's EUI, eight pairs of hex digits in upper case."}}
    srvs = ", ".join(SRV)
    return {
        "requests": _channel(REQUESTS, f"Service Requests in; the routing key is the SRV ({srvs}).", requests),
        "requestQueue": _channel(
            REQUESTS, f"{_limits(queues[REQUESTS])} Consumers compete.", requests, queue=queues[REQUESTS]
        ),
        "responses": _channel(RESPONSES, "Service Responses out; the routing key is the originator's EUI.", responses),
        "userResponses": _channel(
            queues["responses.{user}"].name,
            "What keeps a User's Service Responses.",
            responses,
            queue=queues["responses.{user}"],
        )
        | {"parameters": user},
        "alerts": _channel(ALERTS, "DCC Alerts out; the routing key is EUI.code, for instance EUI.N64.", alerts),
        "userAlerts": _channel(
            queues["alerts.{user}"].name, "What keeps a User's alerts.", alerts, queue=queues["alerts.{user}"]
        )
        | {"parameters": user},
        "quarantine": _channel(
            QUARANTINE,
            "Input that nobody could be held to, octets untouched.",
            ["quarantined"],
            queue=queues[QUARANTINE],
        ),
        "unrouted": _channel(
            UNROUTED,
            "Responses and alerts for which no queue was declared: the alternate exchange of both.",
            [*responses, *alerts],
            queue=queues[UNROUTED],
        ),
    }


def _limits(queue: Queue) -> str:
    return f"After {queue.delivery_limit} returns a request goes to {queue.dead_letters}."


def _channel(address: str, description: str, messages: list[str], *, queue: Queue | None = None) -> _Object:
    binding: _Object
    if queue is None:
        exchange: Json = {"name": address, "type": "topic", "durable": True, "autoDelete": False}
        binding = {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING}
    else:
        declared: Json = {"name": address, "durable": True, "exclusive": False, "autoDelete": False}
        binding = {"is": "queue", "queue": declared, "bindingVersion": _BINDING}
    found: _Object = {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"amqp": binding},
    }
    return found if queue is None else found | {"x-arguments": dict(queue.arguments)}


def _operations() -> _Object:
    return {
        "takeRequest": _operation("receive", "requestQueue", "Take a Service Request; a User publishes it to requests.")
        | {"reply": {"channel": {"$ref": "#/channels/userResponses"}}},
        "respond": _operation("send", "responses", "Publish a Service Response; a User reads it from userResponses."),
        "alert": _operation("send", "alerts", "Publish a DCC Alert; a User reads it from userAlerts."),
        "quarantine": _operation("send", "quarantine", "Put input aside that nobody could be held to."),
    }


def _operation(action: str, channel: str, summary: str) -> _Object:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


# ------------------------------------------------------------------------------------------------------- messages


def _requests() -> _Object:
    return {
        f"request{srv.replace('.', '_')}": _message(
            srv,
            f"{srv} {entry.name}",
            f"Service Request; may be sent by {', '.join(sorted(entry.roles))}.",
            entry.element,
            "requests.xsd",
            f"requests/{srv}.xml",
            "RequestID",
        )
        for srv, entry in SERVICE_REFERENCES.items()
    }


def _responses() -> _Object:
    codes: Json = {
        HEADER_CODE: {
            "type": "string",
            "description": "The response code, as in the document.",
            "enum": [str(code) for code in RESPONSE_ENTRIES],
        }
    }
    return {
        f"response{name}": _message(
            "SRV",
            f"Service Response: {name}",
            meaning,
            None if name == "Acknowledgement" else name,
            "responses.xsd",
            f"responses/{name}.xml",
            "ResponseID",
        )
        | {
            "headers": {"type": "object", "properties": codes},
            "correlationId": {"$ref": "#/components/correlationIds/reply"},
        }
        for name, meaning in _PAYLOADS.items()
    }


def _alerts() -> _Object:
    return {
        f"alert{code}": _message(
            code, f"{code} {entry.element}", entry.meaning, entry.element, "alerts.xsd", _example(code), "ResponseID"
        )
        for code, entry in ALERT_ENTRIES.items()
    }


def _example(code: AlertCode) -> str:
    return f"alerts/{code}.xml"


def _message(
    kind: str, title: str, summary: str, element: str | None, schema: str, example: str, identifier: str
) -> _Object:
    found: _Object = {
        "name": element or "ResponseMessage",
        "title": title,
        "summary": summary,
        "description": f"message_id is the {identifier}, type is {kind}.",
        "contentType": _MEDIA_TYPE,
        "payload": {"$ref": "#/components/schemas/document"},
        "bindings": {"amqp": {"messageType": kind, "bindingVersion": _BINDING}},
        "x-schema": f"../schemas/{schema}",
        "x-example": f"examples/{example}",
    }
    return found | ({"x-element": f"{{{_NAMESPACE}}}{element}"} if element else {})


def _quarantined() -> _Object:
    headers: Json = {
        HEADER_CODE: {"type": "string", "description": "The response code that an attributed request would have had."},
        HEADER_REASON: {"type": "string", "description": "Why it lies here."},
        HEADER_RECEIVED: {"type": "string", "format": "date-time", "description": "When it came in."},
    }
    return {
        "name": "Quarantined",
        "title": "Quarantined input",
        "summary": "Octets as they came in; they may be anything.",
        "headers": {"type": "object", "properties": headers},
        "payload": {"type": "string", "contentEncoding": "binary"},
        "bindings": {"amqp": {"bindingVersion": _BINDING}},
    }


# ------------------------------------------------------------------------------------------------------- YAML

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9 _./()+-]*(?<! )")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def yaml(value: _Object) -> str:
    """Write YAML in block style; whatever is not plainly a plain text is quoted as JSON quotes it, which YAML knows."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Json, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _entry(f"{indent}{_scalar(name)}:", each, f"{indent}  ")
    elif isinstance(value, list):
        for each in value:
            yield from _entry(f"{indent}-", each, f"{indent}  ")


def _entry(head: str, value: Json, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Json) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
