"""`tandem up --edge`: one plain address besides the fleet, for clients without xDS."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from tandemkit.cli import carried
from tandemkit.cli.checkout import cache_of
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.hosting.edge import (
    Certificate,
    CertificateRefused,
    EdgePlace,
    edge,
)
from tandemkit.mesh.bootstrap import Node
from tandemkit.supervise.processes import ProcessFailure

_CLOCK = SystemClock()
DEFAULT_ADDRESS = "127.0.0.1:8290"
_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--edge", "wanted", is_flag=True, help="Also answer clients without xDS."),
    click.option("--edge-address", help=f"host:port; 0: any (default: {DEFAULT_ADDRESS})."),
    click.option("--edge-certificate", type=_FILE, help="PEM chain; with --edge-key: TLS."),
    click.option("--edge-key", type=_FILE, help="PEM key of --edge-certificate."),
    click.option(
        "--edge-origin", multiple=True, help="Page that may call, such as https://ui.example."
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `of` takes, for a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, checked as far as that can be done before anything starts."""

    address: str
    port: int
    certificate: Certificate | None
    origins: Sequence[str]


def of(*, wanted: bool, **said: Any) -> Wanted | None:
    """None where no edge was asked for; Refusal for what cannot be."""
    given = [f"--{name.replace('_', '-')}" for name, value in said.items() if value]
    if not wanted:
        if given:
            raise Refusal(f"{given[0]} says how the edge is to be; add --edge.")
        return None
    address, port = _free(said["edge_address"] or DEFAULT_ADDRESS)
    certificate = _certificate(said["edge_certificate"], said["edge_key"])
    for origin in said["edge_origin"]:
        _check_origin(origin)
    return Wanted(address, port, certificate, said["edge_origin"])


def _free(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Refusal(f"--edge-address {address!r} is not of the form host:port.")
    try:
        with socket.create_server((host, int(port))) as found:
            # Envoy takes no names.
            return str(found.getsockname()[0]), int(port)
    except (OSError, OverflowError) as error:
        raise Refusal(
            f"the edge cannot listen on {address}; take a free port with "
            "--edge-address 127.0.0.1:0."
        ) from error


def _certificate(chain: Path | None, key: Path | None) -> Certificate | None:
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise Refusal("--edge-certificate and --edge-key go together.")
    certificate = Certificate(chain, key)
    try:
        certificate.check()
    except CertificateRefused as error:
        raise Refusal(f"{error.message}.") from error
    return certificate


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or f"{parts.scheme}://{parts.netloc}" != origin:
        raise Refusal(f"--edge-origin {origin!r} is no origin, such as https://ui.example.")


class Standing:
    """The edge of a command, or none. `address` is known while it stands."""

    def __init__(
        self,
        wanted: Wanted | None,
        place: tuple[Path, Path],
        machine: str,
        controls: Sequence[str],
    ) -> None:
        """`place` is where Envoy is, and where its log goes."""
        self.address = ""
        self._place = _placed(wanted, place, machine, controls) if wanted else None

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Stands while the fleet does."""
        if self._place is None:
            yield
            return
        async with AsyncExitStack() as stack:
            try:
                running = await stack.enter_async_context(edge(self._place))
            except ProcessFailure as failure:
                why = f"the edge did not start; {self._place.log_path} says why."
                raise Refusal(why, EXIT_NO) from failure
            await running.until_it_answers(_CLOCK)
            self.address = f"{self._place.address}:{running.port}"
            yield

    @property
    def value(self) -> dict[str, object]:
        """For programs; empty where there is no edge."""
        return {"edge": {"address": self.address, "tls": self._secure}} if self.address else {}

    @property
    def screen(self) -> str:
        """What to try; empty where there is no edge."""
        if not self.address:
            return ""
        how = "-cacert CA.pem" if self._secure else "-plaintext"
        return f"\n\nThe edge answers gRPC and gRPC-Web there:\n  grpcurl {how} {self.address} list"

    @property
    def _secure(self) -> bool:
        return self._place is not None and self._place.certificate is not None


def _placed(
    wanted: Wanted, place: tuple[Path, Path], machine: str, controls: Sequence[str]
) -> EdgePlace:
    return EdgePlace(
        program=place[0],
        log_path=place[1],
        node=Node(f"edge-{machine}", machine),
        control_planes=tuple(controls),
        address=wanted.address,
        port=wanted.port,
        certificate=wanted.certificate,
        origins=wanted.origins,
    )


def program(environment: Environment) -> Path:
    """Envoy, fetched with a line of progress where it is not here."""
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        return asyncio.run(carried.obtain("envoy", environment, steps))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
