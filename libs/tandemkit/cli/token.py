"""`tandem token`: whether the fleet's token is sound, and a new one in its place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from tandemkit.cli.credential import token_file, token_known, token_made
from tandemkit.cli.output import Refusal, as_json, emit, examples
from tandemkit.core.environment import Environment
from tandemkit.core.lock import InUse
from tandemkit.core.token import GRACE_S


@click.group(
    short_help="Show and change the token that callers of the fleet show.",
    invoke_without_command=True,
    epilog=examples(
        "./tandem token",
        "./tandem token rotate               a new one; the old one is taken for ten minutes more",
        "./tandem token rotate --grace-s 0   the old one has leaked",
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
