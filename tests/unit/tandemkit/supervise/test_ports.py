"""Catalogue row M020: dynamic ports with a bind check. Real sockets: the kernel keeps the book."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tandemkit.supervise.ports import Allocator, PortsTaken, held, obstacle

_HERE = "127.0.0.1"


@pytest.fixture
def ports() -> tuple[int, ...]:
    """Twenty ports, of which most were free a moment ago."""
    with ExitStack() as open_:
        found = [open_.enter_context(socket.create_server((_HERE, 0))) for _ in range(20)]
        numbers = sorted(int(one.getsockname()[1]) for one in found)
    return tuple(numbers)


def test_m020_two_allocators_never_give_the_same_port(ports: tuple[int, ...]) -> None:
    """Two fleets of one machine know nothing of each other."""
    with ExitStack() as stack:
        claims = [
            stack.enter_context(Allocator().claim(ports)).port for _ in range(2) for _ in range(4)
        ]
    assert len(set(claims)) == len(claims)


def test_m020_two_processes_never_give_the_same_port(ports: tuple[int, ...]) -> None:
    """All that is claimed in one process is passed over in another."""
    code = (
        "import sys; from tandemkit.supervise.ports import Allocator; "
        "print(*[Allocator().claim(map(int, sys.argv[1:])).port])"
    )
    with ExitStack() as stack:
        mine = [stack.enter_context(Allocator().claim(ports)).port for _ in range(8)]
        command = [sys.executable, "-c", code, *map(str, ports)]
        known = {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=known)
    assert int(done.stdout) in set(ports) - set(mine)


def test_m020_a_port_in_use_is_passed_over_with_the_reason(ports: tuple[int, ...]) -> None:
    """Whoever reads the plan and finds another port there wants to know why."""
    with socket.create_server((_HERE, ports[0])), Allocator().claim(ports) as claim:
        assert claim.port != ports[0]
        assert claim.passed_over[ports[0]] == "cannot be bound: Address already in use"


def test_m020_reserved_ports_stay_free(ports: tuple[int, ...]) -> None:
    """Also where they are asked for by number."""
    allocator = Allocator(reserved={ports[0]: "Consul's own"})
    with allocator.claim(ports, preferred=ports[0]) as claim:
        assert claim.passed_over == {ports[0]: "is reserved: Consul's own"}


def test_the_preferred_port_comes_first(ports: tuple[int, ...]) -> None:
    """A host that starts again is found where it was."""
    with Allocator().claim(ports, preferred=ports[-1]) as claim:
        assert (claim.port, claim.passed_over) == (ports[-1], {})


def test_one_server_listens_on_a_claimed_port(ports: tuple[int, ...]) -> None:
    """A claim keeps allocators away, not the process that it was made for."""
    with (
        Allocator().claim(ports) as claim,
        socket.create_server((_HERE, claim.port)) as server,
        socket.create_connection((_HERE, claim.port)),
    ):
        server.accept()[0].close()
        with pytest.raises(OSError, match="in use"):
            socket.create_server((_HERE, claim.port))


def test_a_port_outlives_its_claim_while_a_server_listens(ports: tuple[int, ...]) -> None:
    """The launcher may die before the hosts that it started."""
    claim = Allocator().claim(ports)
    with socket.create_server((_HERE, claim.port)):
        claim.release()
        with pytest.raises(PortsTaken, match="cannot be bound: Address already in use"):
            Allocator().claim((claim.port,))


def test_an_exhausted_range_says_what_keeps_its_ports(ports: tuple[int, ...]) -> None:
    """The first few by number and reason, and how many more there are."""
    reserved = dict.fromkeys(ports, "mine")
    with pytest.raises(PortsTaken) as refused:
        Allocator(reserved=reserved).claim(ports)
    said = f"no port of {ports[0]}-{ports[-1]} is free ({ports[0]}: is reserved: mine; "
    assert str(refused.value).startswith(said)
    assert str(refused.value).endswith("; and 17 more)")


def test_a_claimed_port_is_free_for_one_server(ports: tuple[int, ...]) -> None:
    """Our own claim is no obstacle; a server that listens there is one, and is told."""
    with Allocator().claim(ports) as claim:
        assert not obstacle(_HERE, claim.port)
        with socket.create_server((_HERE, claim.port)):
            assert obstacle(_HERE, claim.port) == "cannot be bound: Address already in use"


def test_m020_a_server_that_starts_again_gets_its_port_back(ports: tuple[int, ...]) -> None:
    """Though connections to the one before are still closing; nobody else is given it meanwhile."""
    with socket.create_server((_HERE, ports[0])) as server:
        client = socket.create_connection((_HERE, ports[0]))
        served, _ = server.accept()
    # Who hangs up first has the connection for a minute.
    served.close()
    client.close()
    with Allocator().claim(ports) as claim:
        assert claim.port != ports[0]
    with Allocator().claim(ports, preferred=ports[0]) as claim:
        assert claim.port == ports[0]
        with Allocator().claim(ports, preferred=ports[0]) as second:
            assert second.port != ports[0]
        with socket.create_server((_HERE, ports[0])):
            pass


def test_m020_a_port_of_a_process_that_runs_is_kept_for_its_next_life(
    ports: tuple[int, ...],
) -> None:
    """Between the two nobody listens there, and nobody else is given it."""
    with socket.create_server((_HERE, ports[0])):
        (kept,) = held(_HERE, ports[:1])
        assert list(held(_HERE, ports[:1])) == []
    with kept, Allocator().claim(ports, preferred=ports[0]) as claim:
        assert claim.port != ports[0]
    with Allocator().claim(ports, preferred=ports[0]) as claim:
        assert claim.port == ports[0]
