"""The one composition root: a process that serves the agents which it was built with."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import uvloop

from tandemkit.core import dumps, environment, log
from tandemkit.core.clock import SystemClock
from tandemkit.core.redaction import Veiled
from tandemkit.core.token import FILE_NAME, Token, TokenRefused
from tandemkit.hosting import confining, settings
from tandemkit.hosting.adding import Program
from tandemkit.hosting.confining import confined
from tandemkit.hosting.host import Place, Placed
from tandemkit.hosting.http_port import HttpRefused, listening
from tandemkit.hosting.membership import BadMembership, add_options, membership_of
from tandemkit.hosting.process import serve
from tandemkit.hosting.vouching import key_beside
from tandemkit.rpc.spans import Tracing
from tandemkit.telemetry.export import share_of

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent

_LOGGER = logging.getLogger("tandemkit.hosting")
_EXIT_USAGE = 2


def serve_agents(agents: Sequence[Agent], arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once. Exits
    2 on bad settings.
    """
    said = _parser(agents).parse_args(arguments)
    try:
        placed = settings.place(agents, settings.read(said.settings), said.secrets)
    except settings.BadSettings as error:
        raise _refused(error) from error
    _run(placed, said)


def serve_placed(
    placed: Sequence[Placed],
    arguments: Sequence[str] | None = None,
    program: Program | None = None,
) -> None:
    """The same for agents that have their settings and names already, and for those of `program`
    that may be added to them.
    """
    _run(placed, _parser([one.agent for one in placed]).parse_args(arguments), program)


def _run(
    placed: Sequence[Placed], said: argparse.Namespace, program: Program | None = None
) -> None:
    try:
        store = settings.store(said.state_store)
        membership = membership_of(said, [one.agent for one in placed])
        http = listening(said.http) if said.http else None
        token = None if said.open else Token.kept(said.token_file)
        if token and membership and membership.credential is None:
            key_beside(token)  # told now, if it cannot be used
    except (settings.BadSettings, BadMembership, HttpRefused, TokenRefused) as error:
        raise _refused(error) from error
    log.write_to(sys.stderr)
    if any(one.needed.names for one in placed):
        _keep_secrets()
    limits = confined(said)
    place = Place(
        said.listen,
        said.state,
        SystemClock(),
        said.grace_s,
        membership,
        Tracing(said.trace_share),
        http,
        store,
        said.pulse,
        token,
        limits,
        said.socket,
        said.profile,
        said.secrets,
        program,
    )
    uvloop.run(_serve(placed, place))


def _keep_secrets() -> None:
    """Of a process that is going to know some."""
    dumps.forbid_looking()
    sys.stdout = cast("TextIO", Veiled(sys.stdout))
    sys.stderr = cast("TextIO", Veiled(sys.stderr))


def _refused(error: Exception) -> SystemExit:
    sys.stderr.write(f"{error}\n")
    return SystemExit(_EXIT_USAGE)


async def _serve(placed: Sequence[Placed], place: Place) -> None:
    def served(port: int) -> None:
        host = place.address.rpartition(":")[0]
        where = place.address if place.address.startswith("unix:") else f"{host}:{port}"
        names = [one.name for one in placed]
        log.event(_LOGGER, logging.INFO, "host.serving", address=where, agents=names)

    def draining() -> None:
        log.event(_LOGGER, logging.INFO, "host.draining", grace_s=place.grace_s)

    await serve(placed, place, served, draining)
    log.event(_LOGGER, logging.INFO, "host.stopped")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def _parser(agents: Sequence[Agent]) -> argparse.ArgumentParser:
    names = ", ".join(agent.name for agent in agents)
    parser = argparse.ArgumentParser(
        description=f"Serves {names} over gRPC, with health and reflection.",
        epilog="Example: --listen 127.0.0.1:8200 --settings settings.json",
    )
    _add_addresses(parser)
    parser.add_argument(
        "--pulse",
        type=Path,
        help="file in which the machine's supervisor feels whether this process lives (default: "
        "none)",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        help="JSON file: an object of settings by agent name (default: none)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=environment.Environment.read().home / "state",
        help="folder in which agents keep their state (default %(default)s)",
    )
    callers = parser.add_mutually_exclusive_group()
    callers.add_argument(
        "--token-file",
        type=Path,
        default=environment.Environment.read().home / FILE_NAME,
        help="holds the token that callers show; made if it is absent (default %(default)s)",
    )
    callers.add_argument(
        "--open", action="store_true", help="let everybody in who reaches the port"
    )
    parser.add_argument(
        "--profile",
        default="",
        help="name of the profile that the fleet runs, for configuration (default: none)",
    )
    parser.add_argument(
        "--state-store",
        type=Path,
        help="JSON file after tandem.fleet.v1.StateStore: the PostgreSQL or Redis in which agents "
        "keep their state (default: files below --state)",
    )
    parser.add_argument(
        "--secrets",
        type=Path,
        help="folder with a file for each secret that its agents need, called by its name; agents "
        "without a stanza may have all that is in it as they start (default: none)",
    )
    parser.add_argument(
        "--grace-s",
        type=float,
        default=10.0,
        help="how long calls in progress may finish after SIGTERM (default %(default)s)",
    )
    parser.add_argument(
        "--trace-share",
        type=_share,
        default=share_of(environment.Environment.read()),
        help="share, 0 to 1, of the calls without a trace, made or served, that begin a sampled "
        "one (default %(default)s; 0.01 where OTEL_EXPORTER_OTLP_ENDPOINT is set)",
    )
    add_options(parser)
    confining.add_options(parser)
    return parser


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen",
        default="127.0.0.1:0",
        help="host:port or unix:/path; port 0 takes a free one, which the first log line "
        "names (default %(default)s)",
    )
    parser.add_argument(
        "--socket",
        type=Path,
        help="unix socket to listen on besides, for its owner alone (default: none)",
    )
    parser.add_argument(
        "--http",
        default="",
        help="host:port that answers GET /health and /metrics, without a secret; port 0 takes a "
        "free one, which the log names (default: none)",
    )
