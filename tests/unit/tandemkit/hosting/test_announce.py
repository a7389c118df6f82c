from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from hypothesis import given
from hypothesis import strategies as st

from services.control.registry.agent import AGENT as REGISTRY
from tandem.control.config.v1 import registry_pb2 as cfg
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandem.utility.v1 import toolbox_service_pb2
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.announce import PAUSE_S_MAX, PAUSE_S_MIN, RETURN_S_MAX, pause_s
from tandemkit.hosting.contracts import ContractTooLarge, StoredContract
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.main import serve_agents
from tandemkit.hosting.membership import LEASE_S, Membership
from tandemkit.registry import protocol
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tests.unit.tandemkit.hosting.probe_agent import AGENT
from tests.unit.tandemkit.hosting.test_main import started

PROBE = Placed(AGENT, probe.ProbeRequest())
HOST = nouns.Host(name="hosts/one", machine="laptop", group="probe", address="127.0.0.1")


class Control:
    """A registry on a socket, and all that one watcher of it hears."""

    def __init__(self, address: str, registry: rpc.RegistryServiceAsyncStub) -> None:
        self.address = address
        self.registry = registry
        self._events = aiter(registry.WatchHosts(pb.WatchHostsRequest()))

    async def hears(self, what: str) -> pb.WatchHostsResponse:
        """The next event of that kind; what comes before it is passed over."""
        while True:
            event = await anext(self._events)
            if event.WhichOneof("event") == what:
                return event


@asynccontextmanager
async def control(folder: Path) -> AsyncIterator[Control]:
    """The same folder again is a restart."""
    address = f"unix:{folder}/control"
    placed = Placed(REGISTRY, cfg.RegistrySettings())
    place = Place(address, folder / "control-state", SystemClock(), 0.0)
    async with hosting((placed,), place), grpc.aio.insecure_channel(address) as channel:
        yield Control(address, rpc.RegistryServiceStub(channel))


def options(control: Control, lease_s: float = 60) -> tuple[str, ...]:
    return (
        *("--control", control.address, "--machine", "laptop", "--host-name", "one"),
        *("--version-label", "v2", "--lease-s", str(lease_s)),
    )


async def test_a_host_process_is_in_the_fleet_until_it_drains(tmp_path: Path) -> None:
    """It appears with what it serves, and SIGTERM removes it long before its lease would."""
    async with control(tmp_path) as fleet, started(tmp_path, *options(fleet)) as (process, address):
        host = (await fleet.hears("changed")).changed.host
        assert (host.name, host.machine, host.group) == ("hosts/one", "laptop", "probe-probe")
        assert (f"{host.address}:{host.port}", host.version) == (address, "v2")
        (placement,) = host.placements
        assert (placement.service, placement.instance, placement.serving) == (
            probe.SERVICE,
            "",
            True,
        )
        os.kill(process.pid, signal.SIGTERM)
        assert (await fleet.hears("removed")).removed.host == "hosts/one"
        assert await process.wait() == 0


async def test_a_host_that_is_killed_leaves_with_its_lease(tmp_path: Path) -> None:
    """Nobody says good-bye for it; silence is enough."""
    async with (
        control(tmp_path) as fleet,
        started(tmp_path, *options(fleet, lease_s=1)) as (process, _),
    ):
        await fleet.hears("changed")
        os.kill(process.pid, signal.SIGKILL)
        assert (await fleet.hears("removed")).removed.host == "hosts/one"


async def test_an_agent_that_falls_ill_leaves_alone(tmp_path: Path) -> None:
    """Its host stays and says so, and says when the agent is well again."""
    ailment = tmp_path / "state/probe-probe/ailment"
    async with control(tmp_path) as fleet, started(tmp_path, *options(fleet)):
        assert (await fleet.hears("changed")).changed.host.placements[0].serving
        ailment.touch()
        assert not (await fleet.hears("changed")).changed.host.placements[0].serving
        ailment.unlink()
        assert (await fleet.hears("changed")).changed.host.placements[0].serving


async def test_a_host_finds_a_control_that_comes_back(tmp_path: Path) -> None:
    """It serves on without one, and announces itself again, its contracts included."""
    host = Membership((f"unix:{tmp_path}/control",), HOST, lease_s=1)
    place = Place("127.0.0.1:0", tmp_path, SystemClock(), 0.0, host)
    async with hosting((PROBE,), place) as port:
        for _ in range(2):
            async with control(tmp_path) as fleet:
                announced = (await fleet.hears("changed")).changed.host
                assert announced.port == port
                await _check_contract(fleet, announced.placements[0].contract_digest)


async def test_a_host_goes_on_to_the_next_control_and_back(tmp_path: Path) -> None:
    """Whichever of them is there has it, before its lease at the other could tell."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    host = Membership((f"unix:{one}/control", f"unix:{other}/control"), HOST, lease_s=60)
    place = Place("127.0.0.1:0", tmp_path, SystemClock(), 0.0, host)
    async with hosting((PROBE,), place) as port:
        for folder in (other, one, other):
            async with control(folder) as fleet:
                assert (await fleet.hears("changed")).changed.host.port == port


async def test_a_host_returns_to_the_nearest_control(tmp_path: Path) -> None:
    """Once that one answers again, and without having been lost in between."""
    near, far = tmp_path / "near", tmp_path / "far"
    for folder in (near, far):
        folder.mkdir()
    host = Membership((f"unix:{near}/control", f"unix:{far}/control"), HOST)
    clock = FakeClock()
    place = Place("127.0.0.1:0", tmp_path, clock, 0.0, host)

    async def pass_time() -> None:
        while True:
            await clock.advance(LEASE_S / 6)
            await SystemClock().sleep(0.01)

    async with control(far) as second, Tasks() as tasks, hosting((PROBE,), place):
        tasks.spawn("time", pass_time())
        await second.hears("changed")
        away_s = clock.monotonic_s()
        async with control(near) as first:
            await first.hears("changed")
            assert clock.monotonic_s() - away_s + LEASE_S >= RETURN_S_MAX / 2


async def _check_contract(fleet: Control, digest: str) -> None:
    """Whoever has no stubs can learn the contract from what control keeps."""
    key = f"contracts/{digest}"
    found = (await fleet.registry.GetValue(pb.GetValueRequest(key=key))).value
    assert found.schema == "google.protobuf.FileDescriptorSet"
    pool: Any = DescriptorPool()
    for file in FileDescriptorSet.FromString(found.content).file:
        pool.Add(file)
    assert pool.FindServiceByName(probe.SERVICE).methods_by_name["Echo"]


def test_a_contract_that_no_registry_could_hold_is_refused() -> None:
    """With its name, its size and the limit."""
    pool: Any = DescriptorPool()
    large = FileDescriptorProto(name="large.proto", syntax="proto3")
    for number in range(1000):
        large.message_type.add(name=f"M{number}{'x' * 300}")
    pool.Add(large)
    with pytest.raises(ContractTooLarge, match=r"large.proto.*bytes_max='262144'"):
        StoredContract.of(pool.FindFileByName("large.proto"))


def test_our_largest_contract_fits() -> None:
    """With all that it imports."""
    stored = StoredContract.of(toolbox_service_pb2.DESCRIPTOR)
    assert stored.value.ByteSize() < protocol.VALUE_BYTES_MAX


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host-name", "One"), "host.name: "),
        (("--listen", "unix:/s"), "cannot be announced"),
        (("--listen", "0.0.0.0:0"), "--advertise"),
        (("--control", "127.0.0.1:1,"), "each control once"),
        (("--control", "127.0.0.1:1,127.0.0.1:1"), "each control once"),
        (("--trace-share", "2"), "--trace-share"),
        (("--lease-s", "0.5"), "--lease-s is from 1 to 60"),
    ],
)
def test_a_host_that_cannot_be_announced_does_not_start(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, exit 2."""
    with pytest.raises(SystemExit) as ended:
        serve_agents([AGENT], ["--control", "127.0.0.1:1", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@given(failures=st.integers(1, 10**6), drawn=st.floats(0, 1))
def test_a_host_tries_again_ever_less_often_but_for_ever(failures: int, drawn: float) -> None:
    """The pause is bounded on both sides, and chance never makes it shorter than half."""
    assert PAUSE_S_MIN <= pause_s(failures, drawn) <= PAUSE_S_MAX
    assert pause_s(failures, 0.0) >= pause_s(failures, 1.0) / 2
    assert pause_s(failures + 1, drawn) >= pause_s(failures, drawn)


@pytest.mark.parametrize(
    ("address", "controls", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1:8200", "unix:/run/control"), True),
        ("127.0.0.1", ("127.0.0.1:8200", "10.8.0.2:8200"), False),
        ("10.8.0.1", ("127.0.0.1:8200",), False),
    ],
)
def test_a_host_knows_whether_its_fleet_can_be_on_other_machines(
    address: str, controls: tuple[str, ...], expected: bool
) -> None:
    """Then, and only then, its links are pinged."""
    host = nouns.Host(name="hosts/one", machine="laptop", group="one", address=address)
    assert Membership.checked(controls, host).is_all_here is expected
