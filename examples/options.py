"""The options that both examples have: where RabbitMQ is, and who we are."""

import argparse
from pathlib import Path

from chfw_sr.client.opening import Access
from chfw_sr.client.rabbitmq import RabbitTransport, Server
from chfw_sr.messages import parse_eui

DCC = parse_eui("90-B3-D5-1F-30-00-00-02")


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add them to a command line."""
    parser.add_argument("--amqp", metavar="URL", help="RabbitMQ: amqp://USER:PASSWORD@HOST/VHOST, or amqps://")
    parser.add_argument("--user", type=parse_eui, metavar="EUI", help="who we are")
    parser.add_argument(
        "--dcc", type=parse_eui, metavar="EUI", default="90-B3-D5-1F-30-00-00-02", help="who the DCC is"
    )
    parser.add_argument("--key", type=Path, metavar="PEM", help="our private key")
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="its certificate")
    parser.add_argument(
        "--dcc-certificate", type=Path, metavar="PEM", action="append", help="the DCC's certificate; may be repeated"
    )
    parser.add_argument("--journal", type=Path, metavar="FILE", help="remembers what was sent and told")
    parser.add_argument("--rehearse", action="store_true", help="no server: play a pilot in this process, and end")


def read_access(
    parser: argparse.ArgumentParser, found: argparse.Namespace, *, sends: bool
) -> tuple[Access, RabbitTransport]:
    """Read them; the command line ends if one is missing, of which the keys are for those who send."""
    wanted = ["amqp", "user", "dcc_certificate", "journal", *(["key", "certificate"] if sends else [])]
    if missing := [f"--{name.replace('_', '-')}" for name in wanted if getattr(found, name) is None]:
        parser.error(f"missing: {', '.join(missing)} (or try it without a server: --rehearse)")
    access = Access(
        user=found.user,
        dcc=found.dcc,
        dcc_certificates=found.dcc_certificate,
        journal=found.journal,
        key=found.key,
        certificate=found.certificate,
    )
    return access, RabbitTransport(Server.parse(found.amqp, name=parser.prog), found.user)
