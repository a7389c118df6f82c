"""Commands to the hosts of a machine and to the agents in them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.core.errors import Failure
from tandemkit.machine.aiming import GroupSharesHost, TargetUnknown
from tandemkit.machine.commands import HostDown
from tandemkit.machine.noting import Notes
from tandemkit.reach.failure import Unreachable
from tests.unit.tandemkit.machine.commanded import PLAN, Notebook, commanded
from tests.unit.tandemkit.machine.crew import CLOCK, wanted_of

STOPPED, SERVING = pb.HOST_STATE_STOPPED, pb.HOST_STATE_SERVING


@pytest.mark.parametrize(("down", "up"), [("stop", "start"), ("suspend", "resume")])
async def test_a_host_that_is_stopped_has_no_process_until_it_is_started(
    tmp_path: Path, down: str, up: str
) -> None:
    """The others go on, and doing it again changes nothing."""
    async with commanded(tmp_path) as it:
        pid = it.machine.host("files").pid
        done = await it.run(down, "agents")
        assert (done.hosts, done.agents) == (["agents"], ["text-tell", "text-sum"])
        assert not done.was_so_already
        assert it.machine.state("agents") == STOPPED
        assert not it.machine.host("agents").pid
        assert it.machine.host("files").pid == pid
        assert (await it.run(down, "agents")).was_so_already
        started = it.begun(up, "hosts/laptop-agents")
        await it.machine.serve("agents")
        assert not (await started.outcome).was_so_already
        assert (await it.run(up, "agents")).was_so_already
        assert it.hosts.asked == []


async def test_a_stopped_host_stays_so_for_the_next_supervisor(tmp_path: Path) -> None:
    """It is what somebody wanted, and not what this supervisor happened to know."""
    async with commanded(tmp_path) as it:
        await it.run("stop", "files")
        assert list(it.machine.foreman.wanted.stopped_hosts) == ["files"]
        wanted = it.machine.home.wanted
        assert wanted is not None
        assert list(wanted.stopped_hosts) == ["files"]


async def test_a_start_waits_for_the_end_of_a_stop(tmp_path: Path) -> None:
    """It is not lost to a process that is on its way out."""
    async with commanded(tmp_path) as it:
        before = it.machine.host("files").pid
        stopped = it.begun("stop", "files")
        await it.machine.until("files", pb.HOST_STATE_DRAINING)
        started = it.begun("start", "files")
        await it.machine.news.until(lambda: it.machine.host("files").pid not in {0, before})
        await it.machine.serve("files")
        await stopped.outcome
        assert not (await started.outcome).was_so_already


async def test_a_restart_is_another_process(tmp_path: Path) -> None:
    """Answered once that serves."""
    async with commanded(tmp_path) as it:
        before = it.machine.host("files")
        restarted = it.begun("restart", "files")
        await it.machine.news.until(lambda: it.machine.host("files").pid not in {0, before.pid})
        await it.machine.serve("files")
        assert (await restarted.outcome).hosts == ["files"]
        assert it.machine.host("files").starts == before.starts + 1


async def test_an_agent_is_its_hosts_to_command(tmp_path: Path) -> None:
    """Which is asked at its own address; its neighbours are left alone."""
    async with commanded(tmp_path) as it:
        for verb in ("stop", "start", "restart", "drain", "suspend", "resume", "return"):
            it.hosts.asked.clear()
            it.hosts.was_so = verb == "start"
            done = await it.run(verb, "text-tell")
            found = pb.Verb.Value(f"VERB_{verb.upper()}")
            assert it.hosts.asked == [(it.address("agents"), "text-tell", found)]
            assert (done.hosts, done.agents) == ([], ["text-tell"])
            assert done.was_so_already == it.hosts.was_so
        assert (await it.run("stop", "tandem.text.v1.SumService")).agents == ["text-sum"]


async def test_an_agent_whose_host_is_down_is_started_with_it(tmp_path: Path) -> None:
    """Nobody else could be asked; and stopping it is nothing to do."""
    async with commanded(tmp_path) as it:
        await it.run("stop", "files")
        assert (await it.run("stop", "utility-files")).was_so_already
        started = it.begun("start", "utility-files")
        await it.machine.serve("files")
        assert (await started.outcome).hosts == ["files"]
        assert it.hosts.asked == []


async def test_an_agent_whose_host_waits_cannot_be_suspended(tmp_path: Path) -> None:
    """To say that it was so already would be wrong as soon as the host starts."""
    async with commanded(tmp_path) as it:
        (post,) = (one for one in it.machine.foreman.posts() if one.name == "files")
        await post.empty()
        with pytest.raises(HostDown):
            await it.run("suspend", "utility-files")
        assert it.hosts.asked == []


@pytest.mark.parametrize("verb", ["drain", "return"])
async def test_a_host_is_drained_by_its_agents(tmp_path: Path, verb: str) -> None:
    """All of them, and its process goes on."""
    async with commanded(tmp_path) as it:
        pid = it.machine.host("agents").pid
        done = await it.run(verb, "agents")
        assert sorted(agent for _, agent, _ in it.hosts.asked) == ["text-sum", "text-tell"]
        assert done.hosts == ["agents"]
        assert it.machine.host("agents").pid == pid


async def test_a_group_is_its_hosts_unless_they_serve_others_too(tmp_path: Path) -> None:
    """Nobody is stopped who was not meant."""
    async with commanded(tmp_path) as it:
        planned = {post.name: post.order.planned for post in it.machine.foreman.posts()}
        planned["files"].groups.append("storage")
        planned["agents"].groups.extend(["text", "vision"])
        assert (await it.run("stop", "storage")).hosts == ["files"]
        with pytest.raises(GroupSharesHost) as refused:
            await it.run("stop", "text")
        assert refused.value.metadata == {"group": "text", "host": "agents", "others": "vision"}
        with pytest.raises(TargetUnknown) as unknown:
            await it.run("stop", "text-tel")
        assert unknown.value.metadata["near"].startswith("text-tell")
        assert "did you mean text-tell" in unknown.value.message
        with pytest.raises(TargetUnknown, match=r"\./tandem status has the names"):
            await it.run("stop", "qqq")


async def test_a_command_that_is_sent_twice_is_done_once(tmp_path: Path) -> None:
    """At the same time or later; one that was refused may be tried again."""
    async with commanded(tmp_path) as it:
        twice = [it.run("restart", "text-tell", "one") for _ in range(2)]
        first, second = await asyncio.gather(*twice)
        assert first is second
        assert await it.run("restart", "text-tell", "one") is first
        assert len(it.hosts.asked) == 1
        it.hosts.refusal = Failure("not now")
        with pytest.raises(Failure, match="not now"):
            await it.run("restart", "text-tell", "two")
        it.hosts.refusal = None
        await it.run("restart", "text-tell", "two")
        assert len(it.hosts.asked) == 3
        assert it.notebook.said() == ["command_begun", "command_ended"] * 3


async def test_a_command_is_recorded_before_and_afterwards(tmp_path: Path) -> None:
    """With who, why, from where and what came of it; what cannot be recorded is not done."""
    async with commanded(tmp_path) as it:
        await it.run("stop", "files", "one")
        begun, ended = it.notebook.events
        assert (begun.machine, begun.note.author, begun.peer) == ("laptop", "ann", "peer")
        assert (begun.command_begun.request_id, begun.command_begun.target) == ("one", "files")
        assert list(ended.command_ended.hosts) == ["files"]
        assert ended.command_ended.verb == pb.VERB_STOP
        it.notebook.is_full = True
        with pytest.raises(Unreachable):
            await it.run("stop", "agents")
        assert it.machine.state("agents") == SERVING


async def test_a_command_goes_on_without_whoever_asked(tmp_path: Path) -> None:
    """Who asks again hears what came of it."""
    async with commanded(tmp_path) as it:
        hasty = it.begun("stop", "files", "one")
        await it.machine.news.until(lambda: it.machine.state("files") == pb.HOST_STATE_DRAINING)
        hasty.caller.cancel()
        assert (await it.run("stop", "files", "one")).hosts == ["files"]
        assert it.machine.state("files") == STOPPED
        assert it.notebook.said() == ["command_begun", "command_ended"]


async def test_each_life_of_a_supervisor_is_recorded(tmp_path: Path) -> None:
    """With the hosts that it took over; where there were none, the plan is deployed by it."""
    notebook = Notebook()
    notes = Notes(notebook, "laptop", CLOCK)
    notes.began(wanted_of(PLAN), 7, [])
    notes.began(wanted_of(PLAN), 8, ["agents"])
    first, deployed, second = notebook.events
    assert first.supervisor_begun.pid == 7
    assert [one.host for one in deployed.plan_applied.changes] == [
        "control",
        "machine",
        "agents",
        "files",
    ]
    assert list(second.supervisor_begun.adopted_hosts) == ["agents"]
