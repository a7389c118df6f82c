"""`tandem token`: whether the fleet's token is sound, and a new one in its place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import grpc

from tandem.control.v1 import registration_pb2 as nouns
from tandem.memory.v1 import namespace_service_pb2 as pb
from tandem.memory.v1 import namespace_service_pb2_grpc as rpc
from tandemkit.cli import running
from tandemkit.cli.credential import shown_at, token_file, token_known, token_made
from tandemkit.cli.failure import describe
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.core.caller_key import CallerKey
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.lock import InUse
from tandemkit.core.token import GRACE_S, TokenRefused
from tandemkit.hosting.vouching import key_beside, vouched, written

_CLOCK = SystemClock()
_ANSWER_WITHIN_S = 10.0


@click.group(
    short_help="Show and change the token that callers of the fleet show.",
    invoke_without_command=True,
    epilog=examples(
        "./tandem token",
        "./tandem token rotate               a new one; the old one is taken for ten minutes more",
        "./tandem token rotate --grace-s 0   the old one has leaked",
        "./tandem token for ada --days 30    a key for ada, who may do what rules give callers/ada",
        "./tandem token revoke ada           no key of hers from before is taken any more",
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


@token.command(name="for", short_help="Make a key for a caller who shall not have the token.")
@click.argument("name")
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="How long it is taken.",
)
@as_json
def for_(*, name: str, days: float, as_json: bool) -> None:
    """Print a key with which NAME may call agents that ask who calls, as `callers/NAME` and by the
    rules of namespaces; it is shown as the token is. It ends with the token that signed it.
    """
    now_s = int(_CLOCK.now().timestamp())
    key = CallerKey(name, now_s, now_s + int(timedelta(days=days).total_seconds()))
    try:
        text = key.signed(token_made(Environment.read()))
    except ValueError as error:
        raise Refusal(f"{error}, at most 63.") from error
    until = datetime.fromtimestamp(key.expires_s, UTC).isoformat(timespec="seconds")
    value = {"key": text, "caller": f"callers/{name}", "until": until}
    emit(value, as_json=as_json, text=lambda: text)


@token.command(short_help="Have no key of a caller from before taken any more.")
@click.argument("name")
@running.address
@as_json
def revoke(*, name: str, address: str, as_json: bool) -> None:
    """Refuse all keys of NAME that were made until now, within moments and on every machine that
    hears of it. Another one may be made a second later.
    """
    asyncio.run(_revoked(address, name))
    emit({"caller": f"callers/{name}"}, as_json=as_json, text=lambda: f"revoked keys of {name}")


async def _revoked(address: str, name: str) -> None:
    async with shown_at(address, Environment.read()) as channel:
        stub: Any = rpc.NamespaceServiceStub(channel)
        try:
            await stub.RevokeCaller(pb.RevokeCallerRequest(caller=name), timeout=_ANSWER_WITHIN_S)
        except grpc.RpcError as error:
            raise Refusal(describe(error).as_text(), EXIT_NO) from error


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
