"""Secrets of a real fleet: given, found nowhere else, changed while everything runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tandemkit.core.clock import stopwatch_s
from tandemkit.core.token import Token
from tandemkit.machine.layering import LAYER_S
from tandemkit.machine.parts.kinds import CONSUL
from tandemkit.rpc.bearing import bearing
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import demand, fetch, short_folder
from tandemkit.testing.spans import Collector, collector
from tandemkit.testing.vault import fake_vault
from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.cluster.fleets import TANDEM
from tests.cluster.load import Calls, Load, request_of
from tests.cluster.safety.searching import Search, spill
from tests.cluster.safety.spilling import KEY, fingerprint
from tests.cluster.safety.spilling_fleet import (
    METHOD,
    NAME,
    SERVICE,
    Spilled,
    furnished,
    spilling_fleet,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
PLANTED = 'plant-8f3e0b77c1"x+9d'
LENIENT = {"lenient": True}


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[Spilled, Collector]]:
    """A fleet whose launcher has the secret in its environment, and whose spans go to us."""
    async with collector() as spans:
        variables = {KEY.upper(): PLANTED, "OTEL_EXPORTER_OTLP_ENDPOINT": spans.endpoint}
        async with spilling_fleet(variables) as fleet:
            fleet.variables.pop(KEY.upper())
            assert await fleet.does("which") == fingerprint(PLANTED)
            yield fleet, spans


async def test_m122_m186_a_planted_secret_is_found_nowhere() -> None:
    """Its agent tells it to logs, callers, failures, health, events and spans, and crashes: neither
    they nor processes, files, pages or commands have it.
    """
    async with watched() as (fleet, spans):
        said = await spill(fleet)
        await eventually(lambda: _has_spans(spans))
        assert await Search(PLANTED).places(fleet, said, spans) == set()
        pid = fleet.pids()["agents"]
        limits = await asyncio.to_thread(Path(f"/proc/{pid}/limits").read_text)
        assert re.search(r"Max core file size +1 +1 ", limits)


async def test_m186_without_redaction_the_same_search_finds_it() -> None:
    """So the search can fail: the same agent, in a host that was made to forget what it hides."""
    async with watched() as (fleet, spans):
        said = await spill(fleet, prelude="unveil")
        found = await Search(PLANTED).places(fleet, said, spans)
        assert {"callers", "/health of agents", "tandem status"} <= found
        assert {"file agents.log", "tandem logs"} <= found
        assert any("event" in one or "outbox" in one for one in found), found
        assert not any(one.startswith("/proc") for one in found)


async def test_the_command_that_runs_a_fleet_keeps_nothing_either() -> None:
    """In the foreground it lasts as long as the fleet, and had the secret in its environment."""
    with short_folder() as folder:
        fleet = furnished(folder, {})
        log, variables = folder / "up.log", {**fleet.variables, KEY.upper(): PLANTED}
        command = Command((*TANDEM, "up"), log, env=variables, grace_s=30)

        async def serves() -> None:
            assert "Tandem serves" in await asyncio.to_thread(log.read_text)

        async with supervised_process(command, ready=serves, ready_within_s=60):
            assert await fleet.does("log") == fingerprint(PLANTED)
            assert await Search(PLANTED).places(fleet) == set()
        assert fleet.pids() == {}


async def test_consul_is_told_no_secret() -> None:
    """Neither its keys nor what it shows of agents, which say themselves why they are ill."""
    folders = {str(Path(one).parent) for one in demand(CONSUL).values()}
    variables = {KEY.upper(): PLANTED, "PATH": ":".join((*sorted(folders), os.defpath))}
    async with spilling_fleet(variables, None, "--registry", CONSUL) as fleet:
        fleet.variables.pop(KEY.upper())
        told = await fleet.told("status")
        ((part,),) = (machine["parts"] for machine in told["machines"])
        await _ails(fleet)
        token = await asyncio.to_thread((fleet.home.folder / "consul" / "token").read_text)
        headers = {"X-Consul-Token": token.strip()}

        async def content(page: str) -> str:
            found = await fetch(f"http://{part['address']}/v1/{page}", headers=headers)
            return found.decode()

        async def is_told() -> bool:
            return "critical" in await content("agent/checks")

        await eventually(is_told)
        values = json.loads(await content("kv/?recurse=true"))
        shown = [base64.b64decode(one["Value"] or "").decode(errors="replace") for one in values]
        assert shown
        shown += [await content("agent/checks"), await content("agent/services")]
        assert not any(PLANTED in one or json.dumps(PLANTED)[1:-1] in one for one in shown)


async def _ails(fleet: Spilled) -> None:
    await fleet.does("ail")

    async def is_ill() -> bool:
        return "it is ill" in (await fleet.tandem("status", "--json")).stdout

    await eventually(is_ill)


async def test_a_crash_leaves_no_memory_behind() -> None:
    """A host that aborts is started again with the same secret, and no core of it lies anywhere."""
    async with watched() as (fleet, _spans):
        before = fleet.pids()["agents"]
        await fleet.tandem("call", METHOD, json.dumps({"text": "dump"}))
        await eventually(lambda: _is_another(fleet, before))
        await eventually(lambda: _has(fleet, PLANTED))
        assert await Search(PLANTED).places(fleet) == set()


async def test_m122_a_secret_is_rotated_under_calls_without_a_restart(tell: Tell) -> None:
    """By the command; no call fails, no process is another one, and the old value stays hidden."""
    async with watched() as (fleet, _spans), called(fleet) as load:
        pids, values = fleet.pids(), {PLANTED: 0, "rotated-5521": 0}

        async def rotate() -> None:
            done = await rotated(fleet, "rotated-5521\n")
            assert done.returncode == 0, done.stderr
            assert "in force on agents" in done.stdout
            assert "rotated" not in done.stdout + done.stderr
            await eventually(lambda: _answers(load, "rotated-5521"))
            load.stop()

        outcome, _ = await asyncio.gather(load.run(), rotate())
        tell("calls over a rotation", outcome)
        assert outcome.failures == {}
        assert set(outcome.answers) == {fingerprint(value) for value in values}
        assert fleet.pids() == pids
        await fleet.does("log")
        assert await Search(*values).places(fleet) == set()


@asynccontextmanager
async def called(fleet: Spilled) -> AsyncIterator[Load]:
    """Four at a time ask the agent which value it has."""
    status = await fleet.told("status")
    hosts = [host for machine in status["machines"] for host in machine["hosts"]]
    address = next(one["address"] for one in hosts if one["host"] == "agents")
    path, request = request_of(f"{SERVICE}/SlugifyText", '{"text": "which"}')
    async with grpc.aio.insecure_channel(address) as channel:
        shown = bearing(channel, Token(fleet.home.token))
        yield Load(shown, Calls(path, 10_000_000, request=request))


async def _answers(load: Load, value: str) -> bool:
    return fingerprint(value) in load.outcome.answers


async def test_who_is_started_again_has_its_secret() -> None:
    """Host and supervisor are killed; nobody exports it twice, and a rotation is seen behind it."""
    async with watched() as (fleet, _spans):
        before = fleet.pids()["agents"]
        fleet.kill("agents")
        await eventually(lambda: _is_another(fleet, before))
        await eventually(lambda: _has(fleet, PLANTED))
        fleet.kill("supervisor")
        before = fleet.pids()["agents"]
        await eventually(lambda: _supervised(fleet))
        fleet.kill("agents")
        await eventually(lambda: _is_another(fleet, before))
        await eventually(lambda: _has(fleet, PLANTED))
        done = await rotated(fleet, "rotated-5521")
        assert done.returncode == 0, done.stderr
        await eventually(lambda: _has(fleet, "rotated-5521"))


async def test_m122_a_missing_secret_stops_the_start() -> None:
    """With file, line, column and name; nothing runs afterwards."""
    with short_folder() as folder:
        fleet = furnished(folder, {})
        done = await fleet.tandem("up", "-d")
        assert done.returncode == 1
        assert re.match(
            r"tandem: deploy/fleet/utility\.yaml:1:\d+: .*Missing required secret `planted_key`",
            done.stderr,
        )
        assert fleet.pids() == {}
        done = await fleet.tandem("secret", "check")
        assert done.returncode == 1
        assert "planted_key  missing" in done.stdout


async def test_m122_on_a_laptop_an_agent_waits_for_its_secret() -> None:
    """All else serves; it says what it lacks, and serves as soon as that comes, with no restart."""
    with short_folder() as folder:
        fleet = furnished(folder, LENIENT)
        try:
            began_s = stopwatch_s()
            done = await fleet.tandem("up", "-d")
            # Nobody waits for what only people can bring.
            assert stopwatch_s() - began_s < LAYER_S
            assert done.returncode == 1
            assert "Missing required secret `planted_key`" in done.stderr
            status = await fleet.tandem("status", "--json")
            assert "Missing required secret" in status.stdout
            call = await fleet.tandem("agents", "--json")
            assert NAME in call.stdout
            pids = fleet.pids()
            done = await rotated(fleet, PLANTED)
            assert done.returncode == 0, done.stderr
            await eventually(lambda: _has(fleet, PLANTED))
            assert fleet.pids() == pids
        finally:
            await fleet.tandem("down")
        assert fleet.pids() == {}


async def test_m118_a_key_that_changes_in_vault_reaches_the_agent() -> None:
    """The fleet logs in by an AppRole, whose ids nobody finds either; while Vault is sealed all
    goes on.
    """
    async with fake_vault() as server:
        await server.write("tandem", {KEY: PLANTED})
        role_id, secret_id = await server.role(3600)
        source = {"address": server.address, "paths": ["tandem"], "app_role": {}, "refresh": "1s"}
        variables = {"VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID": secret_id}
        async with spilling_fleet(variables, {"secrets": {"vault": source}}) as fleet:
            pids = fleet.pids()
            for name in variables:
                fleet.variables.pop(name)
            assert await fleet.does("log") == fingerprint(PLANTED)
            await server.write("tandem", {KEY: "from-vault-2"})
            await eventually(lambda: _has(fleet, "from-vault-2"))
            await server.seal()
            assert await fleet.does("log") == fingerprint("from-vault-2")
            await server.unseal()
            done = await rotated(fleet, "from-us-3")
            assert "secret/tandem, version 3" in done.stdout
            assert await fleet.does("log") == fingerprint("from-us-3")
            listed = await fleet.told("secret", "list")
            (key,) = (one for one in listed["secrets"] if one["name"] == KEY)
            assert key["version"] == "3"
            assert fleet.pids() == pids
            search = Search(PLANTED, "from-vault-2", "from-us-3", secret_id)
            assert await search.places(fleet) == set()


async def rotated(fleet: Spilled, value: str) -> subprocess.CompletedProcess[str]:
    """As a person types it."""
    return await fleet.run(*TANDEM, "secret", "rotate", KEY, typed=value)


async def _has(fleet: Spilled, value: str) -> bool:
    done = await fleet.tandem("call", METHOD, json.dumps({"text": "which"}))
    return fingerprint(value) in done.stdout


async def _is_another(fleet: Spilled, pid: int) -> bool:
    return fleet.pids().get("agents", pid) != pid


async def _supervised(fleet: Spilled) -> bool:
    return "supervisor" in fleet.pids() and (await fleet.tandem("status")).returncode == 0


async def _has_spans(spans: Collector) -> bool:
    return bool(spans.batches)
