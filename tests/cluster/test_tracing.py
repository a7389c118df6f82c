"""A sampled call's way to a collector, from a process as it is started in earnest."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tandemkit.rpc import trace
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import free_ports, short_folder
from tandemkit.testing.spans import Collector, collector
from tandemkit.testing.tokens import shown, token_of_user
from tests.cluster import chain_host
from tests.cluster.mesh.trial_contract import ALPHA, BETA, Answer, Question

pytestmark = pytest.mark.cluster
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# As OTLP has them.
SERVER, CLIENT = 2, 3


@asynccontextmanager
async def host_of_both(folder: Path, found: Collector) -> AsyncIterator[str]:
    """The address of a host whose second agent calls the first, and which knows the collector."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    environment = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOME": str(folder),
        "OTEL_EXPORTER_OTLP_ENDPOINT": found.endpoint,
    }
    said = ("--role", "both", "--listen", address, "--trace-share", "0")
    argv = (sys.executable, "-m", chain_host.__name__, *said)
    command = Command(argv, folder / "host.log", env=environment, grace_s=30.0)

    async def serves() -> None:
        assert "host.serving" in command.log_path.read_text()

    async with supervised_process(command, ready=serves):
        yield address


async def test_a_host_tells_the_collector_of_its_environment() -> None:
    """Of every hop of a sampled trace and of nothing else, the last of it while it drains."""
    async with collector() as found:
        with short_folder() as folder:
            async with (
                host_of_both(folder, found) as address,
                shown(address, token_of_user(folder)) as channel,
            ):
                ask: Any = channel.unary_unary(
                    f"/{BETA}/Ask", Question.SerializeToString, Answer.FromString
                )
                await ask(Question(), metadata=((trace.HEADER, f"00-{TRACE}-{PARENT}-01"),))
                await ask(Question())
    told = found.spans()
    assert {(service, span["traceId"]) for service, span in told} == {("trial", TRACE)}
    below = {span["parentSpanId"]: span for _service, span in told}
    parent, seen = PARENT, []
    while parent in below:
        span = below.pop(parent)
        seen.append((span["kind"], span["name"]))
        parent = span["spanId"]
    assert seen == [(SERVER, f"{BETA}/Ask"), (CLIENT, f"{ALPHA}/Ask"), (SERVER, f"{ALPHA}/Ask")]
    assert below == {}
