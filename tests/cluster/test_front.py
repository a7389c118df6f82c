"""The whole fleet on its one target, by a stock grpcurl that knows no contract."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator

import pytest

from tandem.control.v1 import fleet_status_service_pb2
from tandemkit.mesh.bootstrap import VARIABLE
from tandemkit.rpc.contract import Contract
from tandemkit.testing.parts import demand, short_folder
from tandemkit.testing.tokens import GRPCURL_FLAGS, grpcurl_variables
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_contract import AFFINITY, ALPHA, BETA, PACKAGE

pytestmark = [pytest.mark.cluster, pytest.mark.real("grpcurl")]
FRONT = Contract.of(fleet_status_service_pb2.DESCRIPTOR).service.full_name
CHECK = "grpc.health.v1.Health/Check"
NOT_FOUND, UNAVAILABLE, UNIMPLEMENTED = 5, 14, 12
# grpcurl ends with this plus the call's code.
EXIT_OF_CALL = 64


class Grpcurl:
    """On `xds:///tandem`, with nothing but the bootstrap. Each run is a client of its own."""

    def __init__(self, fleet: Controlled) -> None:
        self._fleet = fleet
        self._program = str(demand("grpcurl")["grpcurl"])

    async def run(self, *flags: str, said: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        argv = (
            self._program,
            "-plaintext",
            "-max-time",
            "20",
            *GRPCURL_FLAGS,
            *flags,
            "xds:///tandem",
            *said,
        )
        environment = {VARIABLE: self._fleet.bootstrap, **grpcurl_variables(self._fleet.token)}
        return await asyncio.to_thread(
            subprocess.run, argv, env=environment, capture_output=True, text=True, check=False
        )

    async def until_listed(self, *names: str) -> None:
        """Returns once these are among what is listed: clients are told 0.2 s behind control."""

        async def look() -> set[str]:
            return set((await self.run(said=("list",))).stdout.splitlines())

        await eventually(look, lambda found: found.issuperset(names))

    async def told(self, *said: str, request: str = "{}") -> str:
        flags = () if said[0] in {"list", "describe"} else ("-d", request)
        done = await self.run(*flags, said=said)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def code(self, method: str, *flags: str) -> tuple[int, str]:
        """The code and the text of a call that fails; its contract is given, not asked for."""
        proto = self._fleet.folder / "typo.proto"
        proto.write_text(_TYPO)
        paths = ("-import-path", str(proto.parent), "-proto", proto.name)
        done = await self.run(*paths, *flags, "-d", "{}", said=(method,))
        return done.returncode - EXIT_OF_CALL, done.stderr


# The contract of a caller who misspelt an agent, and of one who is newer than the agent.
_TYPO = """
syntax = "proto3";
package tandem.trial.v1;
message Question { string text = 1; }
service AlfaService {
  rpc Ask(Question) returns (Question);
  rpc Tail(Question) returns (stream Question);
  rpc Collect(stream Question) returns (Question);
  rpc Chat(stream Question) returns (stream Question);
}
service AlphaService { rpc AskMore(Question) returns (Question); }
"""


@pytest.fixture
async def fleet() -> AsyncIterator[Controlled]:
    """A control and two hosts; the control answers for the fleet."""
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            await asyncio.gather(fleet.start_host("a"), fleet.start_host("b"))
            await fleet.until_serving("a", "b")
            await fleet.until_serving("control", service=FRONT)
            yield fleet


@pytest.fixture
async def grpcurl(fleet: Controlled) -> Grpcurl:
    """That clients are told of all."""
    client = Grpcurl(fleet)
    await client.until_listed(ALPHA, BETA, FRONT)
    return client


async def test_the_target_lists_describes_and_calls_every_agent(grpcurl: Grpcurl) -> None:
    """Though the control that answers has the stubs of none of them."""
    await grpcurl.until_listed(ALPHA, BETA, FRONT, "tandem.control.v1.RegistryService")
    assert f"{ALPHA}.Stick" in (await grpcurl.told("list", ALPHA)).splitlines()
    described = await grpcurl.told("describe", ALPHA)
    assert f'option (.tandem.options.v1.affinity) = "{AFFINITY}"' in described
    assert "string text = 1" in await grpcurl.told("describe", ".tandem.trial.v1.Question")
    answer = json.loads(await grpcurl.told(f"{BETA}/Ask"))
    assert answer["text"] in {"a", "b"}


async def test_the_health_of_an_agent_is_that_of_its_hosts(
    fleet: Controlled, grpcurl: Grpcurl
) -> None:
    """SERVING while one is left, NOT_SERVING when the last has drained; by full name and short."""

    async def status(name: str) -> str:
        told = await grpcurl.told(CHECK, request=json.dumps({"service": name}))
        return str(json.loads(told)["status"])

    for name in (ALPHA, "trial-alpha", FRONT, ""):
        assert await status(name) == "SERVING"
    fleet.send("a", signal.SIGTERM)
    await fleet.until_serving("b")
    assert await status(ALPHA) == "SERVING"
    fleet.send("b", signal.SIGTERM)
    await eventually(lambda: status(ALPHA), lambda found: found == "NOT_SERVING")
    assert await status(FRONT) == "SERVING"
    # Known, and without a host: not the front's to answer.
    code, _ = await grpcurl.code(f"{ALPHA}/AskMore")
    assert code == UNAVAILABLE


async def test_nobody_is_not_found_and_a_name_is_near(grpcurl: Grpcurl) -> None:
    """For every kind of call, and for a health check."""
    for method in ("Ask", "Tail", "Collect", "Chat"):
        code, said = await grpcurl.code(f"{PACKAGE}.AlfaService/{method}", "-use-reflection")
        assert code == NOT_FOUND, said
        assert f"did you mean {ALPHA}" in said
        assert "AGENT_UNKNOWN" in said
    checked = await grpcurl.run("-d", '{"service": "trial-alfa"}', said=(CHECK,))
    assert checked.returncode == EXIT_OF_CALL + NOT_FOUND
    assert ALPHA in checked.stderr


async def test_an_unknown_method_of_a_known_agent_is_unimplemented(grpcurl: Grpcurl) -> None:
    """The agent itself says so."""
    code, said = await grpcurl.code(f"{ALPHA}/AskMore")
    assert code == UNIMPLEMENTED, said


async def test_without_a_control_nobody_is_denied(fleet: Controlled, grpcurl: Grpcurl) -> None:
    """A second control answers for the fleet when the first is gone."""
    await fleet.start_second()
    await eventually(lambda: fleet.is_stale("second"), lambda stale: not stale)
    await fleet.until_serving("control", "second", service=FRONT, told_by="second")
    await fleet.kill("control")
    await grpcurl.until_listed(ALPHA, BETA)
    code, said = await grpcurl.code(f"{PACKAGE}.AlfaService/Ask")
    assert code == NOT_FOUND, said
