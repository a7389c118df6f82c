"""What may be configured, by whom it is said, and who hears of a change."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from services.control.registry.agent import AGENT as REGISTRY
from services.platform.config_server.agent import AGENT
from tandem.control.config.v1 import registry_pb2 as registry_cfg
from tandem.control.v1 import errors_pb2 as errors
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.core.errors import TransientError
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.membership import machine_name
from tandemkit.rpc.context import Context
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.parts import short_folder
from tests.unit.services.platform.config_server.config_servers import (
    GREETING,
    PATIENCE,
    SIZE,
    Caller,
    config_server,
    heard,
    layer,
    refusal,
    settings,
)

CODE = grpc.StatusCode
LAYERS = (
    layer("profile", "laptop", size_max="20"),
    layer("profile", "mainpc", size_max="25"),
    layer("machine", "pc2", size_max="${SIZE:-30}"),
    layer("agent", "gateway", size_max="40"),
)


async def test_the_strongest_layer_holds(tmp_path: Path) -> None:
    """Default, profile, machine, agent, and above them what is set at run time."""
    async with config_server(tmp_path, settings(*LAYERS, profile="laptop")) as caller:
        targets = [{}, {"machine": "pc2"}, {"machine": "pc2", "agent": "gateway"}]
        found = [(await caller.get(SIZE, **one)).value.whole for one in targets]
        assert found == [20, 30, 40]
        await caller.size(50)
        await caller.size(60, machine="pc2")
        await caller.size(70, agent="gateway")
        found = [(await caller.get(SIZE, **one)).value.whole for one in targets]
        assert found == [50, 60, 70]


async def test_m023_a_value_tells_where_it_comes_from(tmp_path: Path) -> None:
    """All layers, the strongest first, with the version or the file that says so."""
    async with config_server(tmp_path, settings(*LAYERS, profile="laptop")) as caller:
        version = await caller.size(70, agent="gateway")
        told = await caller.explain(SIZE, machine="pc2", agent="gateway")
        said = [(one.value.whole, one.origin.layer, one.origin.name) for one in told.candidates]
        assert said == [
            (70, nouns.CONFIG_LAYER_AGENT_OVERRIDE, "gateway"),
            (40, nouns.CONFIG_LAYER_AGENT, "gateway"),
            (30, nouns.CONFIG_LAYER_MACHINE, "pc2"),
            (20, nouns.CONFIG_LAYER_PROFILE, "laptop"),
            (10, nouns.CONFIG_LAYER_DEFAULT, ""),
        ]
        assert told.entry.value.whole == 70
        assert told.candidates[0].origin.version == version == 1
        assert told.candidates[2].written == "${SIZE:-30}"
        assert {one.origin.source for one in told.candidates[1:]} == {"settings"}
        assert all(len(one.origin.digest) == 64 for one in told.candidates[1:])


async def test_what_was_set_is_there_after_a_restart(tmp_path: Path) -> None:
    """It is the registry's, with its history; what is taken back lets the files hold again."""
    async with config_server(tmp_path) as caller:
        await caller.size(50)
        await caller.size(51)
    async with config_server(tmp_path) as caller:
        assert (await caller.get(SIZE)).value.whole == 51
        assert await caller.clear(SIZE) == 3
        assert (await caller.get(SIZE)).value.whole == 10
        first = await caller.stub.ListConfigChanges(pb.ListConfigChangesRequest(page_size=2))
        again = pb.ListConfigChangesRequest(page_size=2, page_token=first.next_page_token)
        second = await caller.stub.ListConfigChanges(again)
        changes = [*first.changes, *second.changes]
        assert [one.version for one in changes] == [3, 2, 1]
        assert [one.note.author for one in changes] == ["ana"] * 3
        assert (changes[0].before.whole, changes[0].HasField("after")) == (51, False)
        assert not second.next_page_token


async def test_a_writer_who_knows_another_version_is_refused(tmp_path: Path) -> None:
    """Whoever repeats what is set already is not, and makes no version."""
    async with config_server(tmp_path) as caller:
        assert await caller.size(50, expected=0) == 1
        assert await caller.size(50, expected=0) == 1
        failed = await refusal(caller.size(51, expected=0))
        assert (failed.code, failed.reason) == (CODE.ABORTED, "CONFIG_VERSION_CONFLICT")
        assert failed.metadata["latest_version"] == "1"


async def test_of_many_writers_each_makes_a_version(tmp_path: Path) -> None:
    """Who does not care for the version waits for nobody and loses nothing."""
    async with config_server(tmp_path) as caller:
        sets = [caller.size(number, agent=f"agent-{number}") for number in range(12)]
        assert sorted(await asyncio.gather(*sets)) == list(range(1, 13))
        found = [(await caller.get(SIZE, agent=f"agent-{one}")).value.whole for one in range(12)]
        assert found == list(range(12))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("gateway.size", nouns.ConfigValue(whole=1), "CONFIG_KEY_UNDECLARED"),
        (SIZE, nouns.ConfigValue(text="1"), "CONFIG_KIND_MISMATCH"),
        (SIZE, nouns.ConfigValue(), "INVALID_REQUEST"),
        ("Gateway", nouns.ConfigValue(whole=1), "INVALID_REQUEST"),
    ],
)
async def test_what_was_not_declared_so_is_refused(
    tmp_path: Path, key: str, value: nouns.ConfigValue, reason: str
) -> None:
    """By its reason, and nothing is set."""
    async with config_server(tmp_path) as caller:
        failed = await refusal(caller.set(key, value))
        assert failed.reason == reason
        assert failed.metadata.get("near", SIZE).split(", ")[0] == SIZE
        assert (await caller.stub.ListConfigValues(pb.ListConfigValuesRequest())).version == 0


async def test_values_are_listed_by_page(tmp_path: Path) -> None:
    """In the order of the keys; a key without any value is told as such."""
    async with config_server(tmp_path) as caller:
        request = pb.ListConfigValuesRequest(prefix="gateway.", page_size=2)
        first = await caller.stub.ListConfigValues(request)
        request.page_token = first.next_page_token
        second = await caller.stub.ListConfigValues(request)
        entries = [*first.entries, *second.entries]
        assert [one.key for one in entries] == sorted([SIZE, GREETING, PATIENCE])
        assert [one.HasField("value") for one in entries] == [True, False, True]
        assert entries[0].value.text == "hello you"
        request.prefix = "other."
        assert (await refusal(caller.stub.ListConfigValues(request))).reason == (
            "PAGE_TOKEN_INVALID"
        )


async def test_m023_a_change_reaches_watchers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All values first, then each change, and none that concerns somebody else."""
    async with config_server(tmp_path) as caller:
        target = nouns.ConfigTarget(agent="gateway")
        call = caller.stub.WatchConfigValues(
            pb.WatchConfigValuesRequest(prefix=SIZE, target=target)
        )
        told = aiter(call)
        first = await heard(told)
        assert [one.value.whole for one in first.snapshot.entries] == [10]
        assert (first.version, first.stale) == (0, False)
        await caller.size(1, agent="other")
        await caller.set(GREETING, nouns.ConfigValue(text="hi"))
        times_s = []
        for number in range(20, 70):
            begun_s = stopwatch_s()
            await caller.size(number)
            change = await heard(told)
            times_s.append(stopwatch_s() - begun_s)
            assert [one.value.whole for one in change.changed.entries] == [number]
            assert change.version == number - 17
        call.cancel()
    median_ms = sorted(times_s)[len(times_s) // 2] * 1000
    with capsys.disabled():
        sys.stdout.write(f"\na change reaches a watcher in {median_ms:.1f} ms, median of 50")
    assert median_ms < 1000


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A broken one is told and changes nothing."""
    file = tmp_path / "config.yaml"
    text = "declarations:\n  - {key: web.port, kind: whole, purpose: Where., default: 80}\n"
    file.write_text(text)
    async with config_server(tmp_path / "state", settings(files=[str(file)])) as caller:
        call = caller.stub.WatchConfigValues(pb.WatchConfigValuesRequest(prefix="web."))
        told = aiter(call)
        assert (await heard(told)).snapshot.entries[0].value.whole == 80
        file.write_text(text.replace("80", "eighty"))
        file.write_text(text.replace("80", "8080"))
        change = await heard(told)
        assert change.changed.entries[0].value.whole == 8080
        call.cancel()


async def test_a_broken_file_is_told_and_what_it_said_before_holds(tmp_path: Path) -> None:
    """At the start there is nothing before, and the agent does not serve."""
    file = tmp_path / "config.yaml"
    file.write_text("settings:\n  - {layer: machine, name: pc2, values: [{key: a.b, value: 1}]}\n")
    said = settings(files=[str(file)])
    async with config_server(tmp_path / "state", said) as caller:
        failed = await refusal(caller.get(SIZE))
        assert failed.code is CODE.UNAVAILABLE
        assert "no file declares `a.b`" in failed.message


async def test_a_registry_that_fell_silent_makes_answers_stale(tmp_path: Path) -> None:
    """They hold as they were told last, and watchers hear of it."""
    silence = asyncio.Event()
    record = nouns.ConfigRecord(change=nouns.ConfigChange(version=7))

    async def tell(_request: object, _context: Context) -> AsyncIterator[object]:
        value = registry.StoredValue(schema="any", content=record.SerializeToString())
        if not silence.is_set():
            yield registry.WatchValueResponse(value=value, version=1)
            await silence.wait()
        reason = errors.ERROR_REASON_BACKEND_UNREACHABLE
        raise TransientError(reason, "away", retry_after_s=1)

    fake = fake_agent(registry.DESCRIPTOR, WatchValue=tell)
    async with serving(AGENT, settings=settings(), beside=(fake,), state_dir=tmp_path) as channel:
        stub = Caller(channel).stub
        call = stub.WatchConfigValues(pb.WatchConfigValuesRequest(), wait_for_ready=True)
        told = aiter(call)
        first = await heard(told)
        assert (first.stale, first.version) == (False, 7)
        silence.set()
        second = await heard(told)
        assert (second.stale, second.version, len(second.changed.entries)) == (True, 7, 0)
        assert (await stub.GetConfigValue(pb.GetConfigValueRequest(key=SIZE))).stale
        call.cancel()


async def test_what_the_launcher_knows_may_be_named(tmp_path: Path) -> None:
    """The machine and the profile, whatever the stanza says of them; and no other variable."""
    said = settings(layer("profile", "laptop", greeting="${TANDEM_PROFILE} on ${TANDEM_MACHINE}"))
    said.variables.add(name="TANDEM_PROFILE", text="forged")
    with short_folder() as sockets:
        address = f"unix:{sockets}/host"
        place = Place(address, tmp_path, SystemClock(), 0.0, profile="laptop")
        placed = [Placed(AGENT, said), Placed(REGISTRY, registry_cfg.RegistrySettings())]
        async with hosting(placed, place), grpc.aio.insecure_channel(address) as channel:
            entry = await Caller(channel).get(GREETING)
            assert entry.value.text == f"laptop on {machine_name()}"


async def test_a_watcher_hears_that_the_server_runs(tmp_path: Path) -> None:
    """Where nothing changes, or nothing of its own, a message that says nothing."""
    async with config_server(tmp_path) as caller:
        call = caller.stub.WatchConfigValues(pb.WatchConfigValuesRequest(prefix=SIZE))
        told = aiter(call)
        await anext(told)
        await caller.set(GREETING, nouns.ConfigValue(text="hi"))
        alive = await anext(told)
        assert (alive.WhichOneof("event"), alive.version, alive.stale) == (None, 1, False)
        call.cancel()
