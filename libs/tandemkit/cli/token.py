"""`tandem token`: whether the fleet's token is sound, and a new one in its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.cli.credential import token_file, token_known, token_made
from tandemkit.cli.output import Refusal, as_json, emit, examples
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.lock import InUse
from tandemkit.core.token import GRACE_S, TokenRefused
from tandemkit.hosting.vouching import key_beside, vouched, written

_CLOCK = SystemClock()


@click.group(
    short_help="Show and change the token that callers of the fleet show.",
    invoke_without_command=True,
    epilog=examples(
        "./tandem token",
        "./tandem token rotate               a new one; the old one is taken for ten minutes more",
        "./tandem token rotate --grace-s 0   the old one has leaked",
        "./tandem token host pc2-vision tandem.vision.v1.FacesService > credential",
    ),
)
@click.option("--show", is_flag=True, help="Print the token itself.")
@as_json
@click.pass_context
def token(context: click.Context, *, show: bool, as_json: bool) -> None:
    """Say where the fleet's token is and since when it is in force; exits 2 if it is not sound."""
    if context.invoked_subcommand is not None:
        return
    known = token_known(Environment.read())
    since = datetime.fromtimestamp(known.path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    value: dict[str, Any] = {"file": str(known.path), "since": since}
    text = f"{known.path}, in force since {since}"
    if show:
        text = known.bearer.partition(" ")[2]
        value["token"] = text
    emit(value, as_json=as_json, text=lambda: text)


@token.command(short_help="Vouch for a host that shall not have the fleet's key.")
@click.argument("name")
@click.argument("services", nargs=-1, required=True)
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="How long it may register with it.",
)
@as_json
def host(*, name: str, services: tuple[str, ...], days: float, as_json: bool) -> None:
    """Print a credential with which the host NAME may register SERVICES, full names of contracts,
    and nothing else; it is given to the host by --credential FILE.
    """
    said = nouns.HostCredential(host=f"hosts/{name.removeprefix('hosts/')}", services=services)
    said.expire_time.FromDatetime(_CLOCK.now() + timedelta(days=days))
    try:
        key = key_beside(token_made(Environment.read()))
    except TokenRefused as refused:
        raise Refusal(f"{refused}.") from refused
    text = written(vouched(key, said))
    value = {"credential": text, "host": said.host, "services": list(services)}
    emit(value, as_json=as_json, text=lambda: text)


@token.command(short_help="Put a new token in place, without a restart.")
@click.option(
    "--grace-s",
    type=click.FloatRange(min=0),
    default=GRACE_S,
    show_default=True,
    help="How long the old one is taken still; hosts look every 5 s.",
)
@as_json
def rotate(*, grace_s: float, as_json: bool) -> None:
    """Put a new token in place. Whoever reads the file needs no restart; copies of it, on other
    machines of the fleet too, are yours to renew.
    """
    environment = Environment.read()
    known = token_made(environment)
    try:
        known.rotate(grace_s)
    except InUse as error:
        raise Refusal(f"somebody else changes {token_file(environment)} right now.") from error
    value = {"file": str(known.path), "grace_s": grace_s}
    emit(
        value,
        as_json=as_json,
        text=lambda: f"{known.path} holds a new token; the one before is taken for {grace_s:g} s",
    )
