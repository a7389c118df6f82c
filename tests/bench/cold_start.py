"""What a hundred agents with a contract each cost in few processes, and in one process each.

The agents are made by tools/new_agent.py into a temporary tree, which `tandem up -d` serves with
the embedded registry; beside it a process for each agent and a control, which nobody supervises.
When all agents serve, all processes rest, and the kernel says what they used meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tandemkit.cli.main import main as tandem
from tandemkit.core.clock import stopwatch_s
from tandemkit.testing.checkouts import write_deploy
from tandemkit.testing.parts import short_folder
from tests.bench._alone import alone
from tests.bench._grown import Grown, grown
from tests.bench._usage import cpu_s, proportional_mb, with_variable
from tests.repo.checkout import root

AGENTS, HOSTS = 100, 6
# What starting leaves behind is over by then.
SETTLE_S, REST_S = 5.0, 20.0
_TANDEM = (sys.executable, "-P", "-c", f"from {tandem.__module__} import main; main()")


def write_layout(tree: Grown, hosts: int) -> None:
    """A group for each host, with its share of the agents; the control as it is in this tree."""
    shares = {
        f"host-{number}": [one.short for one in tree.agents[number::hosts]]
        for number in range(hosts)
    }
    own = {"control": ["control-*"], "machine": ["control-machine"]}
    groups = [{"name": name, "agents": agents} for name, agents in (own | shares).items()]
    machine = {"name": "laptop", "address": "localhost", "cpu_cores": 2, "memory_mib": 65_536}
    pools = [{"pool": one, "memory_mib": 30_000} for one in ("infrastructure", "standard")]
    profile = {"name": "laptop", "machines": ["laptop"], "replicas_max": 1}
    ranges = [
        {"name": "grpc", "first": 16_000, "last": 16_199},
        {"name": "http", "first": 17_000, "last": 17_199},
    ]
    write_deploy(
        tree.root,
        {
            "fleet/layout/groups.yaml": {"groups": groups},
            "fleet/layout/machines.yaml": {"machines": [machine]},
            "fleet/layout/pools.yaml": {"pools": pools},
            "fleet/profiles/laptop.yaml": {
                **profile,
                "groups": [{"group": one["name"]} for one in groups],
            },
            "ports.yaml": {"ranges": ranges},
        },
    )
    control = (root() / "deploy/fleet/control.yaml").read_text("utf-8")
    (tree.root / "deploy/fleet/control.yaml").write_text(control, "utf-8")


class Fleet:
    """One home, and the processes that have it in their environment."""

    def __init__(self, tree: Grown, home: Path) -> None:
        self.home = str(home)
        self._variables = {
            "PATH": os.defpath,
            "HOME": str(home.parent),
            "PYTHONPATH": tree.python_path,
            "TANDEM_ROOT": str(tree.root),
            "TANDEM_HOME": self.home,
        }

    def run(self, *arguments: str) -> None:
        """One command, which is to succeed: what it said is shown if it does not."""
        argv = (*_TANDEM, *arguments)
        done = subprocess.run(
            argv, env=self._variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            raise SystemExit(1)

    @property
    def processes(self) -> list[int]:
        return with_variable("TANDEM_HOME", self.home)


def packed(tree: Grown, hosts: int, rest_s: float) -> dict[str, object]:
    """Few hosts, and the two processes that keep them."""
    write_layout(tree, hosts)
    with short_folder() as folder:
        fleet = Fleet(tree, folder / "home")
        try:
            began_s = stopwatch_s()
            fleet.run("up", "-d")
            return {"hosts": hosts, **used(fleet.processes, stopwatch_s() - began_s, rest_s)}
        finally:
            fleet.run("down")


async def apart(tree: Grown, rest_s: float) -> dict[str, object]:
    """A host for each agent."""
    began_s = stopwatch_s()
    async with alone(tree) as processes:
        serving_s = stopwatch_s() - began_s
        found = await asyncio.to_thread(used, processes, serving_s, rest_s)
        return {"hosts": len(tree.agents), **found}


def used(processes: Sequence[int], serving_s: float, rest_s: float) -> dict[str, object]:
    """By the start, and then at rest."""
    start_cpu_s = sum(map(cpu_s, processes))
    time.sleep(SETTLE_S)
    before_s, began_s = sum(map(cpu_s, processes)), stopwatch_s()
    time.sleep(rest_s)
    used_s, took_s = sum(map(cpu_s, processes)) - before_s, stopwatch_s() - began_s
    return {
        "processes": len(processes),
        "serving_s": round(serving_s, 2),
        "start_cpu_s": round(start_cpu_s, 2),
        "memory_mb": round(sum(map(proportional_mb, processes)), 1),
        "idle_percent": round(100 * used_s / took_s, 2),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=AGENTS, help="of them (default 100)")
    parser.add_argument("--hosts", type=int, default=HOSTS, help="that share them (default 6)")
    parser.add_argument("--rest-s", type=float, default=REST_S, help="at rest (default 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    said = parser.parse_args()
    with short_folder() as folder:
        tree = grown(folder / "tree", said.agents)
        for found in (
            packed(tree, said.hosts, said.rest_s),
            asyncio.run(apart(tree, said.rest_s)),
        ):
            _say({"agents": said.agents, **found}, as_json=said.json)


def _say(found: dict[str, object], *, as_json: bool) -> None:
    line = (
        f"{found['agents']} agents in {found['hosts']} hosts: all serve after {found['serving_s']} "
        f"s ({found['start_cpu_s']} s of CPU); {found['processes']} processes in all, "
        f"{found['memory_mb']} MB (PSS), at rest {found['idle_percent']} % of one core; "
        f"load {found['load']}"
    )
    sys.stdout.write((json.dumps({"bench": "cold_start", **found}) if as_json else line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
