"""Row M036: each service stands on the foundation alone, so each starts alone."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.rpc.health import SERVING
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import short_folder
from tests.repo.checkout import root

pytestmark = pytest.mark.cluster
_MAIN = re.compile(r"^main = AGENT\.main$", re.MULTILINE)
# They start as well, and say that they do not serve before others do: their registry, their store.
_NEED_OTHERS = frozenset(
    {
        "tandem.control.v1.FleetStatusService",
        "tandem.control.v1.TrafficPolicyService",
        "tandem.memory.v1.AnswerService",
        "tandem.memory.v1.NamespaceService",
        "tandem.platform.v1.AgentPoolService",
        "tandem.platform.v1.ConfigServerService",
        "tandem.platform.v1.FeatureFlagService",
        "tandem.platform.v1.ServiceRegistryService",
    }
)

# A supervisor is started by `python -m tandemkit.machine`, alone too: tests of the machine do.
_STARTED_OTHERWISE = "services.control.machine.agent"


def _agents() -> Iterator[str]:
    """The modules of all agents that start by their main."""
    for path in sorted((root() / "services").rglob("*.py")):
        module = ".".join(path.relative_to(root()).with_suffix("").parts)
        if _MAIN.search(path.read_text("utf-8")) and module != _STARTED_OTHERWISE:
            yield module


@pytest.mark.parametrize("module", sorted(set(_agents())))
async def test_m036_each_service_starts_alone(module: str) -> None:
    """A process of its own, with nobody else's modules, serves and answers for its health."""
    with short_folder() as folder:
        where = ("--listen", f"unix:{folder}/s", "--state", str(folder))
        started = f"from {module} import main; main()"
        environment = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HOME": str(folder),
            # Some read the files of deploy/ there, as from source.
            "TANDEM_ROOT": str(root()),
        }
        argv = (sys.executable, "-c", started, *where)
        command = Command(argv, folder / "log", env=environment)

        async def serves() -> None:
            assert "host.serving" in command.log_tail()

        async with (
            supervised_process(command, ready=serves),
            grpc.aio.insecure_channel(f"unix:{folder}/s") as channel,
        ):
            service = importlib.import_module(module).AGENT.promise.service.full_name
            request = health_pb2.HealthCheckRequest(service=service)
            answer = await health_pb2_grpc.HealthStub(channel).Check(request)
            assert (answer.status == SERVING) is (service not in _NEED_OTHERS)
