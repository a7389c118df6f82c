"""What a person is told when a fleet cannot come up, or goes: one clear sentence each."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from services.utility.files.agent import AGENT as FILES
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import free_ports, short_folder
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, TANDEM, Checkout

# Each starts processes one after the other, which a busy machine takes its time for.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture
async def checkout() -> AsyncIterator[Checkout]:
    with short_folder() as folder:
        write_checkout(folder, SERVED)
        checkout = Checkout(folder)
        try:
            yield checkout
        finally:
            await checkout.tandem("down")
        assert checkout.pids() == {}


async def refused(checkout: Checkout, *arguments: str) -> str:
    """What `up -d` says instead of coming up; nothing of it runs afterwards."""
    done = await checkout.tandem("up", "-d", *arguments)
    assert done.returncode in (1, 2), done.stdout
    assert checkout.pids() == {}
    (line,) = done.stderr.splitlines()
    return line


async def test_a_range_without_a_free_port_is_named(checkout: Checkout) -> None:
    """With what keeps the first of them."""
    (first,) = free_ports(1)
    ports = {
        "ranges": [
            {"name": "grpc", "first": first, "last": first + 2},
            {"name": "http", "first": 19100, "last": 19199},
        ],
        "fixed": [{"name": "control", "port": first, "range": "grpc"}],
    }
    path = checkout.folder / "deploy/ports.yaml"
    path.write_text(json.dumps(ports))
    with ExitStack() as held:
        for port in range(first, first + 3):
            held.enter_context(socket.create_server(("127.0.0.1", port)))
        line = await refused(checkout)
    assert f"no port of {first}-{first + 2} is free ({first}: cannot be bound" in line


async def test_an_explicit_port_that_is_taken_is_named(checkout: Checkout) -> None:
    """It was asked for by number, so no other is taken instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = await refused(checkout, "--address", address)
    assert line.startswith(f"tandem: cannot listen on {address}: Address already in use; ")


async def test_a_broken_stanza_is_named_by_line_and_column(checkout: Checkout) -> None:
    """Before anything starts."""
    write_checkout(checkout.folder, SERVED, {"utility-toolbox": {"text_bytes_mx": 1}})
    line = await refused(checkout)
    assert "deploy/fleet/utility.yaml:1:" in line
    assert "has no field `text_bytes_mx`; did you mean `text_bytes_max`?" in line


async def test_an_agent_that_cannot_be_built_is_named_with_its_reason(checkout: Checkout) -> None:
    """The rest of the fleet is up, and the exit code says that something is missing."""
    root = checkout.folder / "a file where a folder should be"
    root.write_text("")
    write_checkout(checkout.folder, (*SERVED, FILES), {"utility-files": {"root": str(root)}})
    done = await checkout.tandem("up", "-d")
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "NOT SERVING" in line]
    assert line.startswith("NOT SERVING: agents failed: given up: its process ended with 1: ")
    assert "utility-files: " in line
    assert set(checkout.pids()) == {"control", "supervisor", "keeper"}


async def test_two_fleets_run_side_by_side(checkout: Checkout) -> None:
    """The second takes ports that are free, and each shell finds its own."""
    other = Checkout(checkout.folder, "second")
    try:
        first, second = [await one.told("up", "-d") for one in (checkout, other)]
        assert first["serving"] is second["serving"] is True
        ports = [host["address"] for told in (first, second) for host in told["hosts"]]
        assert len(set(ports)) == len(ports)
        for one, told in ((checkout, first), (other, second)):
            found = await one.tandem("env", "controls")
            assert found.stdout.strip() == told["address"]
        await other.tandem("down")
        assert (await checkout.tandem("agents")).returncode == 0
    finally:
        await other.tandem("down")


async def test_a_fleet_of_another_release_is_left_alone(checkout: Checkout) -> None:
    """Both versions are named, and what to do."""
    assert (await checkout.told("up", "-d"))["serving"]
    before = checkout.pids()
    project = checkout.folder / "pyproject.toml"
    project.write_text(project.read_text().replace("0.0.1", "0.0.2"))
    done = await checkout.tandem("up", "-d")
    assert done.returncode == 1
    assert "is of version 0.0.1+" in done.stderr
    assert "this checkout of 0.0.2+" in done.stderr
    assert checkout.pids() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_fleet_in_the_foreground_ends_with_its_command(
    checkout: Checkout, number: signal.Signals
) -> None:
    """Also if the command is killed and can say nothing."""
    command = Command((*TANDEM, "up"), checkout.folder / "up.log", env=checkout.variables)

    async def serves() -> None:
        assert "Tandem serves" in command.log_path.read_text()

    async with supervised_process(command, ready=serves) as process:
        assert set(checkout.pids()) == {"control", "agents", "supervisor", "keeper"}
        os.kill(process.pid, number)
        status = await process.wait()
        assert status == (-9 if number is signal.SIGKILL else 0)

        async def pids() -> dict[str, int]:
            return checkout.pids()

        await eventually(pids, lambda left: not left)


async def test_a_fleet_in_the_foreground_ends_with_its_terminal(checkout: Checkout) -> None:
    """A window that is closed takes its fleet along; until then there is a bar for each layer."""
    up = shlex.join((*TANDEM, "up"))
    # Gives its command a terminal, which goes when it does.
    argv = ("script", "--quiet", "--flush", "--command", up, "/dev/null")
    command = Command(argv, checkout.folder / "up.log", env=checkout.variables)

    async def serves() -> None:
        assert "Ctrl-C ends it" in command.log_path.read_text()

    async with supervised_process(command, ready=serves) as process:
        assert "layer 1  [########################] 1/1 agents" in command.log_path.read_text()
        os.kill(process.pid, signal.SIGKILL)

        async def pids() -> dict[str, int]:
            return checkout.pids()

        await eventually(pids, lambda left: not left)
