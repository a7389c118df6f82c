"""The supervisor's part in secrets: asked of providers, laid for hosts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as pb
from tandem.fleet.v1 import plan_pb2 as plans
from tandem.fleet.v1.secret_pb2 import SecretSources
from tandemkit.core import redaction
from tandemkit.machine.secret_keeping import SecretKeeping
from tandemkit.secrecy import files
from tandemkit.secrecy.place import Place
from tandemkit.testing.clock import FakeClock


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


def wanted(folder: Path) -> pb.WantedMachine:
    """Two hosts, of which one needs what the other must not have."""
    agents = [plans.PlannedAgent(name="text-sum", secrets=["a"], optional_secrets=["b"])]
    hosts = [
        plans.PlannedHost(name="text", agents=agents),
        plans.PlannedHost(name="look", agents=[plans.PlannedAgent(name="look-see", secrets=["b"])]),
        plans.PlannedHost(name="bare", agents=[plans.PlannedAgent(name="bare-one")]),
    ]
    machine = plans.PlannedMachine(name="here", hosts=hosts)
    sources = SecretSources(folders=[str(folder)])
    plan = plans.Plan(machines=[machine], secret_sources=sources)
    return pb.WantedMachine(machine="here", plan=plan)


@asynccontextmanager
async def keeping(
    place: Place, clock: FakeClock, is_over: Callable[[], bool] = lambda: False
) -> AsyncIterator[SecretKeeping]:
    # Others may want a look into the process that runs the tests.
    made = SecretKeeping(place, clock, is_over, guard=lambda: None)
    try:
        yield made
    finally:
        await made.close()


def laid(place: Place) -> dict[str, dict[str, str]]:
    hosts = place.folder / "hosts"
    return {
        host.name: {path.name: path.read_text() for path in sorted(host.iterdir())}
        for host in sorted(hosts.iterdir())
    }


async def test_each_host_is_given_what_its_agents_declare(tmp_path: Path) -> None:
    """And a host without secrets no folder."""
    place, mounted = Place(tmp_path / "place"), tmp_path / "mounted"
    mounted.mkdir()
    files.write(mounted / "a", "1111")
    files.write(mounted / "b", "2222")
    files.write(mounted / "c", "3333")
    async with keeping(place, FakeClock()) as secrets:
        await secrets.look(wanted(mounted))
    assert laid(place) == {"text": {"a": "1111", "b": "2222"}, "look": {"b": "2222"}}
    account = place.account
    assert sorted(account["secrets"]) == ["a", "b"]
    assert "1111" not in str(account)


async def test_m122_a_changed_file_reaches_the_hosts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the secret, and neither value; one that is lost stays as it was."""
    caplog.set_level(logging.INFO)
    place, mounted = Place(tmp_path / "place"), tmp_path / "mounted"
    mounted.mkdir()
    files.write(mounted / "b", "2222")
    async with keeping(place, FakeClock()) as secrets:
        await secrets.look(wanted(mounted))
        assert place.account["missing"] == ["a"]
        files.write(mounted / "a", "1111")
        files.write(mounted / "b", "4444")
        await secrets.look(wanted(mounted))
        assert laid(place) == {"text": {"a": "1111", "b": "4444"}, "look": {"b": "4444"}}
        (mounted / "a").unlink()
        await secrets.look(wanted(mounted))
        assert laid(place)["text"]["a"] == "1111"
    events = [(one.msg, one.__dict__["tandem_fields"]["secret"]) for one in caplog.records]
    assert ("secret.changed", "b") in events
    assert "4444" not in caplog.text


async def test_a_later_supervisor_leaves_what_it_cannot_ask_for(tmp_path: Path) -> None:
    """The one before laid it; a host that starts now has it."""
    place, mounted = Place(tmp_path / "place"), tmp_path / "mounted"
    mounted.mkdir()
    files.write(mounted / "a", "1111")
    async with keeping(place, FakeClock()) as secrets:
        await secrets.look(wanted(mounted))
    (mounted / "a").unlink()
    async with keeping(place, FakeClock()) as secrets:
        await secrets.look(wanted(mounted))
    assert laid(place)["text"] == {"a": "1111"}


async def test_whoever_had_a_secret_is_not_replaced_while_somebody_cannot_be_asked(
    tmp_path: Path,
) -> None:
    """A provider behind it may have a value of long before; a later supervisor knows that too."""
    place, mounted = Place(tmp_path / "place"), tmp_path / "mounted"
    mounted.mkdir()
    files.write(mounted / "a", "newer")
    place.provide({"a": "of long before", "b": "bbbb"})
    async with keeping(place, FakeClock()) as secrets:
        await secrets.look(wanted(mounted))
        (mounted / "a").chmod(0o644)
        await secrets.look(wanted(mounted))
        assert laid(place)["text"] == {"a": "newer", "b": "bbbb"}
    async with keeping(place, FakeClock()) as secrets:
        await secrets.look(wanted(mounted))
        assert laid(place)["text"] == {"a": "newer", "b": "bbbb"}
        assert place.account["troubles"]
        (mounted / "a").unlink()
        await secrets.look(wanted(mounted))
        assert laid(place)["text"]["a"] == "of long before"


async def test_behind_the_end_of_a_fleet_nothing_is_laid(tmp_path: Path) -> None:
    """Also by a look that was under way when its place was forgotten."""
    place, mounted, said = Place(tmp_path / "place"), tmp_path / "mounted", [False, False, True]
    mounted.mkdir()
    files.write(mounted / "a", "1111")
    async with keeping(place, FakeClock(), lambda: said.pop(0)) as secrets:
        # At its beginning the fleet is there, and when the providers have answered it is not.
        said.pop(0)
        await secrets.look(wanted(mounted))
    assert not said
    assert not place.folder.exists()
