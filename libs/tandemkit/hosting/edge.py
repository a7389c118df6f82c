"""A real Envoy as the fleet's one plain address: started with what it has to know, watched, and
ended behind its last call.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from google.protobuf.json_format import MessageToJson

from tandemkit.core import log
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.errors import Failure
from tandemkit.mesh.bootstrap import Node
from tandemkit.mesh.edge_bootstrap import Edge, bootstrap_of
from tandemkit.mesh.edge_listener import secret_of
from tandemkit.rpc.health import SERVICE as HEALTH
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.supervise.tasks import Tasks

# Calls in progress may take as long as they may on a host that drains.
DRAIN_S = 10.0
READY_S = 30.0
ANSWERS_S = 5.0
# One that is frozen must hold nobody up for long, and one that is only slow still drains.
_ADMIN_S, _ANSWER_S = 3.0, 1.0
_ACTIVE = "http.edge.downstream_rq_active"
_POLL_S = 0.05
# A gRPC-Web request without a field.
_EMPTY, _WEB = bytes(5), {"content-type": "application/grpc-web+proto"}
_CLOCK = SystemClock()
_LOGGER = logging.getLogger("tandemkit.hosting")


class CertificateRefused(Failure):
    """A certificate or its key cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Of the address's name, as PEM files: the chain, its own certificate first, and its key."""

    chain: Path
    key: Path

    def check(self) -> None:
        """Raises CertificateRefused where Envoy could not use it: it would only fall silent."""
        for path in (self.chain, self.key):
            try:
                path.read_bytes()
            except OSError as error:
                raise CertificateRefused(f"{path} cannot be read: {error.strerror}") from error
        try:
            # Asked for a password, we have none; without this it would be asked for on a terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.chain, self.key, str)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                why = f"the key in {self.key} is not that of the certificate in {self.chain}"
            else:
                why = (
                    f"{self.chain} and {self.key} are no certificate with its unencrypted key "
                    "in PEM format"
                )
            raise CertificateRefused(why) from error


@dataclass(frozen=True, slots=True)
class EdgePlace:
    """Where an edge runs. Port 0 is the kernel's choice. Pages of `origins` may call.

    `program` is Envoy, and `log_path` takes what it has to say.
    """

    program: Path
    log_path: Path
    node: Node
    control_planes: Sequence[str]
    address: str = "127.0.0.1"
    port: int = 0
    certificate: Certificate | None = None
    origins: Sequence[str] = ()
    threads: int = 2


class RunningEdge:
    """Answers calls for as long as `edge` stands."""

    def __init__(self, place: EdgePlace, process: Process, admin: _Admin, port: int) -> None:
        self._place, self._process, self._admin, self.port = place, process, admin, port

    @property
    def pid(self) -> int:
        return self._process.pid

    async def statistics(self, pattern: str) -> dict[str, int]:
        """Envoy's counters and gauges whose names match."""
        return await self._admin.statistics(pattern)

    async def until_it_answers(self, clock: Clock) -> None:
        """Returns once it was told where the fleet's health is asked, and got an answer from there;
        or after ANSWERS_S without: who calls then hears why.
        """
        deadline_s = clock.monotonic_s() + ANSWERS_S
        while not await self._answers() and clock.monotonic_s() < deadline_s:
            await clock.sleep(_POLL_S)

    async def _answers(self) -> bool:
        scheme = "https" if self._place.certificate else "http"
        host = f"[{self._place.address}]" if ":" in self._place.address else self._place.address
        url = f"{scheme}://{host}:{self.port}/{HEALTH}/Check"
        patience = aiohttp.ClientTimeout(total=_ANSWER_S)
        # One that has ended is not waited for here: `watch` says so.
        with contextlib.suppress(OSError, aiohttp.ClientError):
            # Which names the certificate is for we cannot know, and we call ourselves.
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                session.post(url, data=_EMPTY, headers=_WEB, ssl=False) as told,
            ):
                # A failure has its status among the headers, an answer behind the message.
                return told.ok and "grpc-status" not in told.headers
        return False

    async def watch(self) -> None:
        """Says so when it ends by itself."""
        status = await self._process.wait()
        tail = self._process.command.log_tail()
        log.event(_LOGGER, logging.ERROR, "edge.ended", exit_status=status, log_tail=tail)

    async def drain(self, clock: Clock) -> None:
        """Takes no new calls, and returns behind the last one, or after DRAIN_S."""
        deadline_s = clock.monotonic_s() + DRAIN_S
        # One that is dead has nothing to drain, and one that is frozen cannot.
        with contextlib.suppress(OSError, aiohttp.ClientError):
            await self._admin.ask("POST", "/drain_listeners?graceful")
            while any((await self.statistics(f"^{_ACTIVE}$")).values()):
                if clock.monotonic_s() >= deadline_s:
                    return
                await clock.sleep(_POLL_S)


class _Admin:
    """Envoy's own interface, on a socket that nobody else can open."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, method: str, path: str) -> bytes:
        async with self._session.request(
            method, f"http://edge{path}", raise_for_status=True
        ) as told:
            return await told.read()

    async def ready(self) -> None:
        """Raises until calls are answered, which is once a control plane has told it all."""
        await self.ask("GET", "/ready")

    async def port(self) -> int:
        told = await self._json("/listeners?format=json")
        (listener,) = told["listener_statuses"]
        return int(listener["local_address"]["socket_address"]["port_value"])

    async def statistics(self, pattern: str) -> dict[str, int]:
        told = await self._json(f"/stats?format=json&filter={pattern}")
        return {one["name"]: one["value"] for one in told["stats"] if "name" in one}

    async def _json(self, path: str) -> Any:
        async with self._session.get(f"http://edge{path}", raise_for_status=True) as told:
            return await told.json(content_type=None)


@asynccontextmanager
async def edge(place: EdgePlace, clock: Clock = _CLOCK) -> AsyncIterator[RunningEdge]:
    """Yields once calls are answered; ProcessFailure where that does not come about."""
    with tempfile.TemporaryDirectory(prefix="tandem-edge-") as name:
        folder = Path(name)
        socket = folder / "admin.sock"
        command = _command(place, folder, socket)
        connector = aiohttp.UnixConnector(path=str(socket))
        patience = aiohttp.ClientTimeout(total=_ADMIN_S)
        async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
            admin = _Admin(session)
            starting = supervised_process(
                command, ready=admin.ready, ready_within_s=READY_S, clock=clock
            )
            async with starting as process, Tasks() as tasks:
                running = RunningEdge(place, process, admin, await admin.port())
                tasks.spawn("edge:watch", running.watch())
                try:
                    yield running
                finally:
                    await running.drain(clock)


def _command(place: EdgePlace, folder: Path, socket: Path) -> Command:
    secret = None
    if place.certificate is not None:
        secret = folder / "secret.json"
        told = secret_of(place.certificate.chain.absolute(), place.certificate.key.absolute())
        secret.write_text(MessageToJson(told))
    known = Edge(
        place.node, place.address, place.port, place.control_planes, socket, place.origins, secret
    )
    bootstrap = folder / "bootstrap.json"
    bootstrap.write_text(MessageToJson(bootstrap_of(known)))
    argv = (str(place.program), "--config-path", str(bootstrap))
    # Without hot restarts there is nothing that two fleets on one machine would share.
    manners = ("--disable-hot-restart", "--concurrency", str(place.threads))
    ends = ("--drain-time-s", str(int(DRAIN_S)), "--drain-strategy", "immediate")
    said = ("--log-level", "warning")
    return Command((*argv, *manners, *ends, *said), place.log_path)
