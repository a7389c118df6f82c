"""`policy` against a real control: what a person types, and what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tandem.control.v1.fleet_status_service_pb2 import GetPublicationResponse
from tandemkit.cli.output import Refusal
from tandemkit.cli.policy import policy
from tandemkit.cli.policy_text import in_force_lines
from tandemkit.testing.parts import free_ports
from tests.unit.services.control.traffic_policy.policies import policies_at

AGENT = "control-registry"
FULL = "tandem.control.v1.RegistryService"
# In full, for no host of the test serves it.
FILES = "tandem.utility.v1.FilesService"


class Typed:
    """A terminal whose commands go to one control."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def type(self, line: str) -> Result:
        arguments = [*line.split(), "--address", self._address]
        return await asyncio.to_thread(CliRunner().invoke, policy, arguments)

    async def says(self, line: str) -> str:
        done = await self.type(line)
        assert done.exit_code == 0, done.exception
        return done.output

    async def refuses(self, line: str) -> Refusal:
        done = await self.type(line)
        assert isinstance(done.exception, Refusal), done.output
        return done.exception

    async def shows(self) -> str:
        """What is in force, without its version."""
        return (await self.says("show")).partition("\n")[2].strip()


@asynccontextmanager
async def typed(folder: Path) -> AsyncIterator[Typed]:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    async with policies_at(address, folder):
        yield Typed(address)


async def test_a_service_is_named_as_people_name_it(tmp_path: Path) -> None:
    """By its short name, another spelling of it, or in full; shares show as per cent."""
    async with typed(tmp_path) as one:
        assert "Nobody" in await one.says("show")
        for number, name in enumerate((AGENT, "FleetRegistry", FULL), start=1):
            said = await one.says(f"weigh {name} v1={100 - number} v2={number} --allow-absent")
            assert said.startswith(f"version {number};")
        assert await one.shows() == f"{AGENT}  v1 97 %, v2 3 %"


async def test_each_command_changes_its_part_and_leaves_the_others(tmp_path: Path) -> None:
    """Shares, preferences, fault and limit of a service; clear takes all of them."""
    async with typed(tmp_path) as one:
        await one.says(f"weigh {FILES} v1=1 --allow-absent")
        await one.says(f"prefer {FILES} x-tester=yes v2 --allow-absent")
        await one.says(f"fault {FILES} --abort UNAVAILABLE --delay-s 0.5 --percent 5")
        await one.says(f"limit {FILES} 20")
        assert await one.shows() == (
            "utility-files  v1 100 %; x-tester=yes to v2; "
            "a delay of 0.5 s, then UNAVAILABLE for 5 % of the calls; "
            "at most 20 calls in progress of a method at an instance"
        )
        await one.says(f"prefer {FILES} x-tester=yes v1")
        await one.says(f"fault {FILES} --off")
        await one.says(f"limit {FILES} 0")
        assert await one.shows() == "utility-files  v1 100 %; x-tester=yes to v1"
        await one.says(f"prefer {FILES} x-tester=yes --off")
        assert await one.shows() == "utility-files  v1 100 %"
        await one.says(f"clear {FILES}")
        assert await one.shows() == "bends nothing"


async def test_a_host_is_drained_and_returned(tmp_path: Path) -> None:
    """By its id alone or as it is registered."""
    async with typed(tmp_path) as one:
        await one.says("drain laptop-2 --allow-absent")
        assert await one.shows() == "drained  hosts/laptop-2"
        await one.says("return hosts/laptop-2")
        assert await one.shows() == "bends nothing"


async def test_one_command_undoes_and_the_history_shows_it(tmp_path: Path) -> None:
    """Who, why, and what it did; the latest first."""
    async with typed(tmp_path) as one:
        await one.says(f"fault {FILES} --delay-s 1 --author ana --reason drill --allow-absent")
        await one.says("drain laptop-2 --allow-absent --author ben --reason disk")
        undone = await one.says("undo --author cyn --reason done")
        assert undone.startswith("version 3;")
        assert "     hosts/laptop-2: returned" in undone  # whoever undoes has to see what
        assert "drained" not in await one.shows()
        lines = (await one.says("history")).splitlines()
        assert lines[0].startswith("3  ")
        assert lines[0].endswith("UTC  cyn: done")
        assert lines[1:3] == [
            "     undid 2 and what came after it",
            "     hosts/laptop-2: returned",
        ]
        assert lines[-1] == "     utility-files: nothing -> a delay of 1 s for 100 % of the calls"
        await one.says("undo 1")
        assert await one.shows() == "bends nothing"
        assert "utility-files  a delay" in await one.says("show --version 1")


async def test_a_safety_limit_keeps_what_else_there_is(tmp_path: Path) -> None:
    """It concerns the whole fleet, which has one policy."""
    async with typed(tmp_path) as one:
        await one.says("drain laptop-2 --allow-absent")
        await one.says("client-limit 500")
        assert (await one.shows()).splitlines() == [
            "drained       hosts/laptop-2",
            "client limit  at most 500 calls in progress",
        ]
        assert "client limit: default -> 500" in await one.says("history --count 1")


def test_what_is_not_in_force_is_shown() -> None:
    """Which version clients go by, why, and since when nothing newer was heard."""
    told = GetPublicationResponse(policy_version=3, latest_policy_version=4, refusals=["odd"])
    told.policy_stale_time.FromJsonString("2026-01-02T03:04:05Z")
    assert list(in_force_lines(told)) == [
        "this control tells version 3",
        "not told: odd",
        "this control has not heard of the policy since 2026-01-02 03:04:05 UTC",
    ]
    same = GetPublicationResponse(policy_version=4, latest_policy_version=4)
    assert list(in_force_lines(same)) == []


async def test_a_program_gets_json(tmp_path: Path) -> None:
    """Of the same calls, and without a word besides."""
    async with typed(tmp_path) as one:
        assert json.loads(await one.says("drain a --allow-absent --json")) == {
            "version": 1,
            "changed": True,
        }
        shown = json.loads(await one.says("show --json"))
        assert shown["policy"]["drainedHosts"] == ["hosts/a"]
        (change,) = json.loads(await one.says("history --json --count 1"))["changes"]
        assert change["drainedHosts"] == ["hosts/a"]
        assert change["note"]["author"]


async def test_what_is_so_already_is_nothing_to_undo(tmp_path: Path) -> None:
    """To undo the version that was there would take back somebody else's change."""
    async with typed(tmp_path) as one:
        await one.says("drain a --allow-absent")
        for line in ("drain a", "return b", f"clear {FILES}", "client-limit 0"):
            assert await one.says(line) == "version 1 says so already; nothing has changed\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("weigh nobody v1=1", "no service 'nobody'"),
        (f"weigh {AGENT} v1", "'v1' is not of the form VERSION=WEIGHT"),
        (f"weigh {AGENT} v1=-1", "'v1=-1' is not of the form"),
        (f"weigh {AGENT} v1=0", "INVALID_ARGUMENT/"),
        (f"weigh {AGENT} v7=1", "NOT_FOUND/NOT_IN_FLEET"),
        (f"prefer {AGENT} x-tester v1", "prefer takes HEADER=VALUE"),
        (f"prefer {AGENT} x-tester=yes", "prefer takes HEADER=VALUE"),
        (f"prefer {AGENT} grpc-a=yes v1", "policy.preferences[0].header"),
        (f"fault {AGENT}", "fault takes --abort, --delay-s or both"),
        (f"fault {AGENT} --delay-s nan", "--delay-s is above 0"),
        (f"fault {AGENT} --abort INTERNAL --percent 101", "policy.fault.percent"),
        (f"fault {AGENT} --off --abort INTERNAL", "or --off alone"),
        ("drain nowhere", "name = hosts/nowhere"),
        ("undo", "NOT_FOUND/CHANGE_NOT_FOUND"),
        ("show --version 9", "NOT_FOUND/CHANGE_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_done_is_said_with_its_reason(
    tmp_path: Path, line: str, said: str
) -> None:
    """And changes nothing."""
    async with typed(tmp_path) as one:
        assert said in (await one.refuses(line)).message
        assert "Nobody" in await one.says("show")
