"""Programs of Triton's client, in its own environment, and the agents that they ask."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from services.gateway.http import listening
from services.gateway.http.agent import AGENT as GATEWAY
from services.gateway.kserve.agent import AGENT as KSERVE
from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import FILE_NAME, Token
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.parts import demand
from tests.unit.services.gateway.kserve.inferring import Talker, Texts, fakes

_CLIENTS = Path(__file__).parent / "clients"
_ANYWHERE = "127.0.0.1:0"


def ran(client: str, *arguments: str) -> bytes:
    """What the program writes."""
    python = demand("tritonclient")["python"]
    argv = (str(python), "-I", str(_CLIENTS / client), *arguments)
    done = subprocess.run(argv, capture_output=True, check=False, env={})
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def told_by(client: str, folder: Path, *, over_http: bool) -> dict[str, Any]:
    """What the program says of everything that it asked."""
    demand("tritonclient")
    return asyncio.run(_told(client, folder, over_http=over_http))


async def _told(client: str, folder: Path, *, over_http: bool) -> dict[str, Any]:
    token, state = Token.kept(folder / FILE_NAME), folder / "state"
    agents: Sequence[Agent] = (KSERVE, *fakes(Texts(), Talker()))
    settings: list[tuple[Agent, Message | None]] = [(one, None) for one in agents]
    if over_http:
        settings.append((GATEWAY, cfg.HttpSettings(address=_ANYWHERE)))
    place = Place(_ANYWHERE, state, SystemClock(), 0.0, token=token)
    async with hosting([Placed(*one) for one in settings], place) as port:
        address = f"127.0.0.1:{port}"
        if over_http:
            url = (state / GATEWAY.name / listening.ADDRESS_FILE).read_text()
            address = url.rpartition("/")[2]
        said = await asyncio.to_thread(ran, client, address, str(folder / FILE_NAME))
    found: dict[str, Any] = json.loads(said)
    return found
