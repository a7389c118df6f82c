"""What a fleet of a given size costs its control, and how long a change takes to reach 200 raw
discovery streams that decode and acknowledge, and 5 stock clients that call.

The control (registry and fleet status, as packaged), the streams, and each client are processes of
their own; this one holds the hosts' leases. CPU time and memory are the control's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from dataclasses import dataclass

from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.contracts import StoredContract, keep_contracts
from tandemkit.testing.parts import short_folder
from tests.bench._leases import HeldLease, Registering
from tests.bench._scaled import STREAMS, Scaled, scaled
from tests.bench._synthetic import GROUP_AGENTS, MACHINES, contract, synthetic
from tests.bench._usage import cpu_s, resident_mb
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE

CHANGES, BURSTS, BURST = 20, 5, 5
REST_S, WINDOW_S = 0.5, 1.0
GROUP = "flip"
_CLOCK = SystemClock()


def _host(port: int) -> nouns.Host:
    """The one that changes: it is here, and then there."""
    digest = StoredContract.of(ALPHA_FILE).digest
    placement = nouns.Placement(service=ALPHA, serving=True, contract_digest=digest)
    return nouns.Host(
        name="hosts/flip",
        machine=MACHINES[0],
        group=GROUP,
        address="127.0.0.1",
        port=port,
        placements=[placement],
    )


@dataclass
class Waits:
    """How long streams and clients took to know, and what control did for it."""

    streams_ms: list[float]
    clients_ms: list[float]
    cpu_ms: list[float]
    rest_shares: list[float]


async def rested(fleet: Scaled) -> float:
    """Part of one core that control takes while hosts renew and nothing else happens."""
    before_s, began_s = cpu_s(fleet.control_pid), _CLOCK.monotonic_s()
    await _CLOCK.sleep(WINDOW_S)
    return (cpu_s(fleet.control_pid) - before_s) / (_CLOCK.monotonic_s() - began_s)


async def changes(fleet: Scaled, lease: HeldLease) -> Waits:
    """The endpoint of one agent moves to and fro; by turns nothing moves, so that noise meets both
    and what is no change's cost can be taken off.
    """
    waits = Waits([], [], [], [])
    for number in range(CHANGES):
        to = fleet.homes[(number + 1) % 2]
        rest_share = await rested(fleet)
        before_s, began_s = cpu_s(fleet.control_pid), _CLOCK.monotonic_s()
        asked = asyncio.gather(fleet.port_heard(GROUP, to.port), fleet.answered_by(to.name))
        await lease.change(_host(to.port))
        streams_s, clients_s = await asked
        waits.streams_ms += [(moment_s - began_s) * 1000 for moment_s in streams_s]
        waits.clients_ms += [(moment_s - began_s) * 1000 for moment_s in clients_s]
        # Telling goes on for a moment after it was heard: acknowledgements are still to be read.
        await _CLOCK.sleep(began_s + WINDOW_S - _CLOCK.monotonic_s())
        used_s, took_s = cpu_s(fleet.control_pid) - before_s, _CLOCK.monotonic_s() - began_s
        waits.cpu_ms.append((used_s - rest_share * took_s) * 1000)
        waits.rest_shares.append(rest_share)
    return waits


async def routes(fleet: Scaled, registering: Registering, idle_share: float) -> dict[str, object]:
    """Bursts of new agents: how many times the routes were told for them, and what that took."""
    costs_ms: list[float] = []
    waits_ms: list[float] = []
    tellings: list[int] = []
    for burst in range(BURSTS):
        added = [contract(f"Burst{burst}Agent{number}") for number in range(BURST)]
        stored = [StoredContract.of(one.service.file) for one in added]
        await keep_contracts(registering.stub, stored)
        await _CLOCK.sleep(REST_S)
        told_count = await fleet.routes_told()
        before_s, began_s = cpu_s(fleet.control_pid), _CLOCK.monotonic_s()
        hosts = [
            nouns.Host(
                name=f"hosts/burst-{burst}-{number}",
                machine=MACHINES[0],
                group=f"burst-{burst}-{number}",
                address=f"127.2.{burst}.{number}",
                port=9,
                placements=[
                    nouns.Placement(
                        service=one.service.full_name,
                        serving=True,
                        contract_digest=stored[number].digest,
                    )
                ],
            )
            for number, one in enumerate(added)
        ]
        await asyncio.gather(*(registering.add(host) for host in hosts))
        for one in added:
            heard_s = await fleet.route_heard(f"/{one.service.full_name}/")
            waits_ms += [(moment_s - began_s) * 1000 for moment_s in heard_s]
        await _CLOCK.sleep(REST_S)
        used_s = cpu_s(fleet.control_pid) - before_s
        costs_ms.append((used_s - idle_share * (_CLOCK.monotonic_s() - began_s)) * 1000)
        tellings.append(await fleet.routes_told() - told_count)
    return {
        "routes_new_agents": BURST,
        "routes_told": statistics.median(tellings),
        "routes_cpu_ms": round(statistics.median(costs_ms), 1),
        "routes_heard_ms_p50": round(statistics.median(waits_ms), 1),
        "routes_heard_ms_p99": p99(waits_ms),
    }


def p99(values: list[float]) -> float:
    return round(statistics.quantiles(values, n=100)[98], 1)


async def measured(hosts_count: int) -> dict[str, object]:
    """All figures of a fleet of that many hosts, and the one that changes."""
    with short_folder() as folder:
        async with scaled(folder, MACHINES[0]) as fleet, fleet.registering() as registering:
            began_s = _CLOCK.monotonic_s()
            await registering.add_all(synthetic(hosts_count))
            registered_s = _CLOCK.monotonic_s() - began_s
            await keep_contracts(registering.stub, (StoredContract.of(ALPHA_FILE),))
            lease = await registering.add(_host(fleet.homes[0].port))
            await fleet.start_listeners()
            await fleet.port_heard(GROUP, fleet.homes[0].port)
            await _CLOCK.sleep(REST_S * 4)
            waits = await changes(fleet, lease)
            idle_share = statistics.median(waits.rest_shares)
            told = await routes(fleet, registering, idle_share)
            memory_mb = resident_mb(fleet.control_pid)
            lost_count = registering.lost_count
    return {
        "hosts": hosts_count,
        "endpoints": hosts_count * GROUP_AGENTS,
        "streams": STREAMS,
        "registered_s": round(registered_s, 1),
        "heard_ms_p50": round(statistics.median(waits.streams_ms), 1),
        "heard_ms_p99": p99(waits.streams_ms),
        "clients_ms_p50": round(statistics.median(waits.clients_ms), 1),
        "clients_ms_max": round(max(waits.clients_ms), 1),
        "change_cpu_ms": round(statistics.median(waits.cpu_ms), 1),
        **told,
        "idle_percent": round(idle_share * 100, 1),
        "memory_mb": round(memory_mb),
        "leases_lost": lost_count,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    found = []
    for count in said.hosts:
        found.append(asyncio.run(measured(count)))
        _print({"bench": "control_scale", **found[-1]}, as_json=said.json)
    least, most = found[0], found[-1]
    if most["endpoints"] != least["endpoints"]:
        _print(slope(least, most), as_json=said.json)


def slope(least: dict[str, object], most: dict[str, object]) -> dict[str, object]:
    """What 1,000 endpoints of agents that do not change add to a change of one."""
    more = (float(str(most["endpoints"])) - float(str(least["endpoints"]))) / 1000
    cost = float(str(most["change_cpu_ms"])) - float(str(least["change_cpu_ms"]))
    return {"bench": "control_scale", "change_cpu_ms_per_1000_endpoints": round(cost / more, 3)}


def _print(found: dict[str, object], *, as_json: bool) -> None:
    line = json.dumps(found) if as_json else ", ".join(f"{key} {one}" for key, one in found.items())
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
