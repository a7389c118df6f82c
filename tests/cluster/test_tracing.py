"""A sampled call's way to a collector, from processes as they are started in earnest."""

from __future__ import annotations

import os
import sys
from typing import Any

import grpc
import pytest

from tandemkit.rpc import trace
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import free_ports, short_folder
from tandemkit.testing.spans import collector
from tests.cluster.mesh import trial_host
from tests.cluster.mesh.trial_contract import ALPHA, Answer, Question

pytestmark = pytest.mark.cluster
SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_host_tells_the_collector_of_its_environment() -> None:
    """What it served of a sampled trace, with the last of it sent while the host drains."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    async with collector() as found:
        with short_folder() as folder:
            environment = {
                "PYTHONPATH": os.pathsep.join(sys.path),
                "HOME": str(folder),
                "OTEL_EXPORTER_OTLP_ENDPOINT": found.endpoint,
            }
            argv = (sys.executable, "-m", trial_host.__name__, "--listen", address)
            command = Command(argv, folder / "host.log", env=environment, grace_s=30.0)

            async def serves() -> None:
                assert "host.serving" in command.log_path.read_text()

            async with (
                supervised_process(command, ready=serves),
                grpc.aio.insecure_channel(address) as channel,
            ):
                ask: Any = channel.unary_unary(
                    f"/{ALPHA}/Ask",
                    request_serializer=Question.SerializeToString,
                    response_deserializer=Answer.FromString,
                )
                await ask(Question(), metadata=((trace.HEADER, SAMPLED),))
                await ask(Question())
    ((service, span),) = found.spans()
    assert (service, span["name"]) == ("trial", f"{ALPHA}/Ask")
    assert (span["traceId"], span["parentSpanId"]) == tuple(SAMPLED.split("-")[1:3])
