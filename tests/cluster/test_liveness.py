"""Real hosts that get stuck in each way there is, and who finds that out from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.supervise.confinement import MIB
from tandemkit.supervise.judging import STALL_S_MAX, Finding, Verdict
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.supervise.tasks import Tasks
from tandemkit.supervise.vigil import Vigil, Watched
from tandemkit.testing.parts import free_ports
from tandemkit.testing.tokens import shown, token_of_user
from tests.cluster import stuck_host
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_contract import ALPHA, BETA, Answer, Question
from tests.unit.tandemkit.hosting.asking import told_at

pytestmark = pytest.mark.cluster
STUCK, WELL = "trial-alpha", "trial-beta"
CLOCK = SystemClock()


@dataclass
class Watch:
    """A host that is looked after as the machine's supervisor does, and what that found."""

    process: Process
    http_port: int
    channel: grpc.aio.Channel
    tasks: Tasks
    stall_s_max: float = STALL_S_MAX
    memory_mib_max: int = 0
    told: list[Finding] = field(default_factory=list)
    killed: list[Finding] = field(default_factory=list)

    def watched(self) -> list[Watched]:
        pulse = self.process.command.log_path.with_name("pulse")
        most = self.memory_mib_max * MIB
        return [Watched("host", self.process.pid, pulse, {STUCK: self.stall_s_max}, most)]

    def tell(self, _one: Watched, finding: Finding) -> None:
        self.told.append(finding)

    def kill(self, one: Watched, finding: Finding) -> None:
        self.killed.append(finding)
        os.kill(one.pid, signal.SIGKILL)

    def get_stuck(self, way: str) -> None:
        """Without waiting for what may never be answered."""
        self.tasks.spawn("call", self._call(way))

    async def _call(self, way: str) -> None:
        try:
            await self.ask(ALPHA, "Ask", way)
        except grpc.aio.AioRpcError:
            return

    async def ask(self, service: str, method: str, text: str = "") -> Any:
        codecs = Question.SerializeToString, Answer.FromString
        call: Any = self.channel.unary_unary(f"/{service}/{method}", *codecs)
        return await call(Question(text=text))

    async def health(self) -> Any:
        request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        return (await told_at(("127.0.0.1", self.http_port), request)).value

    async def until(self, holds: Callable[[Finding], bool], within_s: float = 20) -> Finding:
        """The first finding of which that is true."""

        async def look() -> Finding | None:
            return next((one for one in self.told if holds(one)), None)

        found = await eventually(look, within_s=within_s)
        assert found is not None
        return found


@asynccontextmanager
async def watched(
    folder: Path,
    stall_s_max: float = STALL_S_MAX,
    limits: tuple[str, ...] = (),
    memory_mib_max: int = 0,
) -> AsyncIterator[Watch]:
    # Groups of the kernel belong to whoever runs the tests.
    limits = ("--cgroups", "", *limits)
    grpc_port, http_port = free_ports(2)
    settings = folder / "settings.json"
    settings.write_text(json.dumps({WELL: {"text": "well"}}))
    where = ("--listen", f"127.0.0.1:{grpc_port}", "--http", f"127.0.0.1:{http_port}")
    files = ("--state", folder / "state", "--pulse", folder / "pulse", "--settings", settings)
    argv = (sys.executable, "-m", stuck_host.__name__, *where, *limits, *map(str, files))
    known = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)}
    command = Command(argv, folder / "log", env=known)

    async def serves() -> None:
        assert "host.serving" in command.log_tail()

    async with (
        supervised_process(command, ready=serves) as process,
        shown(f"127.0.0.1:{grpc_port}", token_of_user(folder)) as channel,
        Tasks() as tasks,
    ):
        watch = Watch(process, http_port, channel, tasks, stall_s_max, memory_mib_max)
        vigil = Vigil(watch.watched, watch.kill, watch.tell, CLOCK)
        tasks.spawn("vigil", vigil.run())
        await watch.until(lambda one: one.verdict is Verdict.WELL)
        yield watch


def is_busy(finding: Finding) -> bool:
    return finding.verdict is Verdict.BUSY


def is_dead(finding: Finding) -> bool:
    return finding.verdict is Verdict.DEAD


async def test_python_code_that_holds_the_loop_is_busy_and_left_alone(tmp_path: Path) -> None:
    """The host says so itself, with the agent's name; and is well again when it lets go."""
    async with watched(tmp_path) as watch:
        watch.get_stuck("spin 4")
        found = await watch.until(lambda one: is_busy(one) and one.agent != "")
        assert found.agent == STUCK
        said = await watch.health()
        assert (said["status"], said["holder"]) == ("BUSY", STUCK)
        assert 1 < said["held_s"] < 4.5
        await watch.until(lambda one: one is watch.told[-1] and one.verdict is Verdict.WELL)
        await eventually(watch.health, lambda said: said["status"] == "SERVING", within_s=1)
        assert not watch.killed
        assert "tests/cluster/stuck.py" in (tmp_path / "log").read_text()


async def test_an_agent_that_hangs_alone_is_built_again_and_its_host_stays(tmp_path: Path) -> None:
    """Its check no longer answers: NOT_SERVING, then there again; its neighbour serves on."""
    async with watched(tmp_path) as watch:
        await watch.ask(ALPHA, "Wait")

        async def statuses() -> dict[str, str]:
            return {one["name"]: one["status"] for one in (await watch.health())["agents"]}

        ill = await eventually(statuses, lambda found: found[STUCK] == "NOT_SERVING")
        assert ill[WELL] == "SERVING"
        await eventually(statuses, lambda found: found[STUCK] == "SERVING", within_s=30)
        assert (await watch.ask(BETA, "Ask")).text == "well"
        log = (tmp_path / "log").read_text()
        assert "it hangs" in log
        assert {one.verdict for one in watch.told} == {Verdict.WELL}


async def test_c_code_that_computes_with_the_lock_is_busy_until_its_time_is_spent(
    tmp_path: Path,
) -> None:
    """No thread of the host can say who it is; its stack does, upon a signal."""
    async with watched(tmp_path, stall_s_max=5) as watch:
        watch.get_stuck("compute_locked")
        found = await watch.until(lambda one: is_busy(one) and one.agent != "")
        assert (found.agent, watch.killed) == (STUCK, [])
        dead = await watch.until(is_dead)
        assert (dead.agent, dead.spins, dead.held_s > 5) == (STUCK, True, True)
        assert "trial-alpha has held its loop for" in dead.cause
        assert await watch.process.wait() == -signal.SIGKILL


async def test_c_code_that_sleeps_with_the_lock_is_dead(tmp_path: Path) -> None:
    """It makes no progress, so nothing is to be hoped for."""
    async with watched(tmp_path) as watch:
        watch.get_stuck("sleep_locked")
        dead = await watch.until(is_dead)
        assert (dead.spins, dead.held_s < 4) == (False, True)
        assert dead.agent == STUCK
        assert "keeps the interpreter lock" in dead.cause
        assert await watch.process.wait() == -signal.SIGKILL


async def test_a_wedged_loop_is_dead(tmp_path: Path) -> None:
    """The thread beside it lives and knows who waits in vain."""
    async with watched(tmp_path) as watch:
        watch.get_stuck("wedge")
        dead = await watch.until(is_dead)
        assert (dead.agent, dead.spins, dead.held_s < 4) == (STUCK, False, True)
        assert dead.cause.startswith("its loop waits in trial-alpha, and nothing has moved for")
        assert await watch.process.wait() == -signal.SIGKILL


async def test_a_stopped_host_is_killed_within_three_seconds(tmp_path: Path) -> None:
    """SIGSTOP says nothing to anybody, and SIGTERM would not be heard."""
    async with watched(tmp_path) as watch:
        began_s = stopwatch_s()
        os.kill(watch.process.pid, signal.SIGSTOP)
        assert await watch.process.wait() == -signal.SIGKILL
        assert stopwatch_s() - began_s < 3
        assert "SIGSTOP" in watch.killed[0].cause
        assert len(watch.killed) == 1


async def test_a_host_that_takes_more_memory_than_it_may_ends_with_that_cause(
    tmp_path: Path,
) -> None:
    """It alone; a request for far more at once is refused, and harms only the call."""
    limits = ("--memory-mib-max", "150")
    async with watched(tmp_path, limits=limits, memory_mib_max=150) as watch:
        (said,) = (await watch.health())["limits"]
        assert said == "memory: 150 MiB by its supervisor's looks, 662 by rlimit"
        with pytest.raises(grpc.aio.AioRpcError):
            await watch.ask(ALPHA, "Ask", "eat 2000")
        assert (await watch.ask(BETA, "Ask")).text == "well"
        watch.get_stuck("eat 200")
        assert await watch.process.wait() == -signal.SIGKILL
        assert re.fullmatch(r"it used [0-9]+ MiB of memory, and may use 150", watch.killed[0].cause)


async def test_a_host_runs_on_its_cores_and_behind_others(tmp_path: Path) -> None:
    """Without a cgroup a share of CPU time is whole cores, and says so."""
    last = max(os.sched_getaffinity(0))
    async with watched(tmp_path, limits=("--cpus-max", "0.5")) as watch:
        assert os.sched_getaffinity(watch.process.pid) == {last}
        assert os.getpriority(os.PRIO_PROCESS, watch.process.pid) >= 10
        assert (await watch.health())["limits"] == [
            f"cpus: 0.5 as cores: {last}",
            "cpus: behind others, niceness 10",
        ]
    (tmp_path / "second").mkdir()
    async with watched(tmp_path / "second", limits=("--cpu-cores", "0")) as watch:
        assert os.sched_getaffinity(watch.process.pid) == {0}
