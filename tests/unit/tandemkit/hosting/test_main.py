from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandemkit.hosting.http_port import address_of, listening
from tandemkit.hosting.main import serve_agents
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing import probe
from tandemkit.testing.parts import fetch
from tandemkit.testing.tokens import shown, token_of_user
from tests.cluster.eventually import eventually
from tests.unit.tandemkit.hosting.probe_agent import AGENT


@asynccontextmanager
async def started(folder: Path, *arguments: str) -> AsyncIterator[tuple[Process, str]]:
    """The probe agent in a process of its own, and the address that it said it serves on."""
    log_path = folder / "log"

    async def serves() -> None:
        assert any(line["event"] == "host.serving" for line in lines(log_path))

    module = "tests.unit.tandemkit.hosting.probe_agent"
    state = str(folder / "state")
    command = Command(
        (sys.executable, "-m", module, "--state", state, *arguments),
        log_path,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)},
    )
    async with supervised_process(command, ready=serves) as process:
        (serving,) = (line for line in lines(log_path) if line["event"] == "host.serving")
        yield process, str(serving["address"])


def lines(log_path: Path) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for line in log_path.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    ]


async def test_sigterm_lets_a_call_finish_and_then_ends_the_process(tmp_path: Path) -> None:
    """A call in progress ends by its own deadline, not by the signal; the agent is closed."""
    async with started(tmp_path) as (process, address):
        async with shown(address, token_of_user(tmp_path)) as channel:
            burst: Any = channel.unary_stream(probe.path("Burst"))
            tail = burst(b"\n\x04hang")
            assert await tail.read()
            os.kill(process.pid, signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await tail.read()
        assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert await process.wait() == 0
    events = [line["event"] for line in lines(tmp_path / "log")]
    assert events[-1] == "host.stopped"
    assert "host.draining" in events
    assert (tmp_path / "state/probe-probe/diary").read_text() == "built with \nclosed\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_process_at_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Whoever asks twice does not want to wait for a call in progress."""
    async with (
        started(tmp_path) as (process, address),
        shown(address, token_of_user(tmp_path)) as channel,
    ):
        echo: Any = channel.unary_unary(probe.path("Echo"))
        hanging = echo(b"\n\x04hang")
        assert await echo(b"\n\x02hi")
        os.kill(process.pid, number)
        await _until_draining(tmp_path / "log")
        os.kill(process.pid, number)
        assert await process.wait() == -number
        with pytest.raises(grpc.aio.AioRpcError):
            await hanging
    assert "host.stopped" not in {line["event"] for line in lines(tmp_path / "log")}


async def _until_draining(log_path: Path) -> None:
    async def said() -> set[object]:
        return {line["event"] for line in lines(log_path)}

    await eventually(said, lambda events: "host.draining" in events)


async def test_it_serves_on_a_socket_when_told(tmp_path: Path) -> None:
    """A unix address is used and announced as it is."""
    address = f"unix:{tmp_path}/s"
    async with started(tmp_path, "--listen", address) as (_, announced):
        assert announced == address
        async with shown(address, token_of_user(tmp_path)) as channel:
            echo: Any = channel.unary_unary(probe.path("Echo"))
            assert await echo(b"\n\x02hi") == b"\n\x02hi"


def test_bad_settings_end_it_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, no traceback, exit 2."""
    path = tmp_path / "settings.json"
    path.write_text('{"probe-probe": {"no": 1}}')
    with pytest.raises(SystemExit) as ended:
        serve_agents([AGENT], ["--settings", str(path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("probe-probe: ")


async def test_the_log_names_the_http_port(tmp_path: Path) -> None:
    """Health is asked there, and the answer knows the agent."""
    async with started(tmp_path, "--http", "127.0.0.1:0"):
        (line,) = (one for one in lines(tmp_path / "log") if one["event"] == "http.serving")
        said = json.loads(await fetch(f"http://{line['address']}/health"))
        assert [one["name"] for one in said["agents"]] == ["probe-probe"]


def test_an_http_port_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything starts, in one sentence, as for bad settings."""
    with listening("127.0.0.1:0") as held, pytest.raises(SystemExit) as ended:
        serve_agents([AGENT], ["--http", address_of(held)])
    assert ended.value.code == 2
    assert "the HTTP address cannot be listened on" in capsys.readouterr().err
