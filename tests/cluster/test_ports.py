"""Catalogue row M020 at the launcher: a fleet whose list of ports is wrong does not start."""

from __future__ import annotations

import json

import pytest

from tandemkit.testing.checkouts import GRPC, write_checkout
from tandemkit.testing.parts import short_folder
from tests.cluster.fleets import SERVED, Checkout

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    ("port", "said"),
    [
        (GRPC[0], f"{GRPC[0]} is the port of `control` already: take another"),
        (GRPC[1] + 1, f"{GRPC[1] + 1} is not in `grpc`, {GRPC[0]}-{GRPC[1]}"),
    ],
)
async def test_m020_a_duplicate_or_out_of_range_port_fails_start_up(port: int, said: str) -> None:
    """`up` names the file and the line, exits with a status of its own, and has started nothing."""
    with short_folder() as folder:
        write_checkout(folder, SERVED)
        path = folder / "deploy" / "ports.yaml"
        ports = json.loads(path.read_text("utf-8"))
        ports["fixed"].append({"name": "edge", "port": port, "range": "grpc"})
        path.write_text(json.dumps(ports), "utf-8")
        checkout = Checkout(folder)
        done = await checkout.tandem("up", "-d")
        assert done.returncode != 0
        assert "deploy/ports.yaml:1:" in done.stderr
        assert f"`fixed[1].port`: {said}" in done.stderr
        assert checkout.pids() == {}
