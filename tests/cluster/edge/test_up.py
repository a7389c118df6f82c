"""`./tandem up --edge` as a person starts it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.cli import main
from tandemkit.core.environment import Environment
from tandemkit.core.token import FILE_NAME, Token
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import demand
from tests.cluster.edge.calling import grpcurl

pytestmark = [pytest.mark.cluster, pytest.mark.real("envoy"), pytest.mark.real("grpcurl")]
# The whole fleet is the business of others; this is the least that an edge needs.
SERVED = (REGISTRY, FLEET_STATUS, MACHINE, TOOLBOX)
MEASURE = f"{TOOLBOX.promise.service.full_name}/MeasureText"


@asynccontextmanager
async def started(home: Path, *arguments: str) -> AsyncIterator[tuple[Process, dict[str, Any]]]:
    """The command on free ports, and what it printed."""
    demand("envoy")
    ports = ("--address", "127.0.0.1:0", "--edge-address", "127.0.0.1:0")
    program = f"from {main.__name__} import main; main()"
    argv = (sys.executable, "-P", "-c", program, "up", "--edge", *ports, "--json")
    write_checkout(home, SERVED)
    variables = {
        **Environment.read().variables,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TANDEM_HOME": str(home),
        "TANDEM_ROOT": str(home),
    }
    command = Command((*argv, *arguments), home / "up.log", env=variables, grace_s=40)
    said: dict[str, Any] = {}

    async def printed() -> None:
        text = command.log_path.read_text()
        whole, _ = json.JSONDecoder().raw_decode(text[text.index("{\n") :])
        said.update(whole)

    async with supervised_process(command, ready=printed) as process:
        yield process, said


async def test_the_address_that_it_prints_answers_for_every_agent(tmp_path: Path) -> None:
    """Named and called by a plain grpcurl, at once; and an agent that is not there is not found."""
    async with started(tmp_path) as (process, said):
        assert said["edge"]["tls"] is False
        where = ("-plaintext", said["edge"]["address"])
        listed, _ = await grpcurl(*where, "list")
        services = {one.promise.service.full_name for one in SERVED}
        assert services <= set(listed.splitlines())
        request = ("-d", '{"text": "hello"}', *where, MEASURE)
        told, _ = await grpcurl(*request, token=Token(tmp_path / FILE_NAME))
        assert json.loads(told)["words"] == "1"
        asked = ("-d", '{"service": "utility-toolbx"}', *where, "grpc.health.v1.Health/Check")
        _, complaint = await grpcurl(*asked)
        assert "Code: NotFound" in complaint
        assert "did you mean tandem.utility.v1.ToolboxService?" in complaint
        os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0


async def test_the_edge_relays_the_end_of_the_fleet(tmp_path: Path) -> None:
    """A watch hears that its agent ends, and ends well: the edge is there until the host is not."""
    async with started(tmp_path) as (process, said):
        async with grpc.aio.insecure_channel(said["edge"]["address"]) as channel:
            watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
            agent = TOOLBOX.promise.service.full_name
            call = watch(health_pb2.HealthCheckRequest(service=agent).SerializeToString())
            states = []
            async for one in call:
                states.append(health_pb2.HealthCheckResponse.FromString(one).status)
                if len(states) == 1:
                    os.kill(process.pid, signal.SIGTERM)
            assert await call.code() is grpc.StatusCode.OK
        assert await process.wait() == 0
    response = health_pb2.HealthCheckResponse
    assert states == [response.SERVING, response.NOT_SERVING]
