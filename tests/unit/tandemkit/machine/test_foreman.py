from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.machine.foreman import Ending
from tandemkit.machine.orders import PlanUnusable
from tandemkit.machine.record import records
from tandemkit.machine.vigilance import Vigilance
from tandemkit.supervise.judging import Finding, Verdict
from tandemkit.supervise.marks import look
from tests.unit.tandemkit.machine.crew import CLOCK, Machine, machine, plan_of, wanted_of

TWO_LAYERS = plan_of({}, {"agents": ["text-tell"]})


def children() -> set[int]:
    """Ours that run."""
    pid = os.getpid()
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return {one for one in found if look(one) is not None}


def wait_for(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def test_m021_a_layer_waits_for_the_one_before(tmp_path: Path) -> None:
    """A host starts when the agents of the layers before it serve, and not when they are there."""
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(TWO_LAYERS))
        await one.until("control", pb.HOST_STATE_STARTING)
        assert one.state("agents") == pb.HOST_STATE_WAITING
        await one.serve("control")
        await one.serve("agents")
        await one.news.until(lambda: one.foreman.machine().settled)
        assert one.foreman.machine().layer == 2


async def test_what_is_wanted_already_is_left_alone(tmp_path: Path) -> None:
    """A second plan that is like the first keeps every process."""
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(TWO_LAYERS))
        await one.serve("control")
        before = await one.serve("agents")
        changes = await one.foreman.apply(wanted_of(TWO_LAYERS))
        assert {change.deed for change in changes} == {pb.DEED_KEEP}
        await one.news.until(lambda: one.foreman.machine().settled)
        assert one.host("agents").pid == before.pid
        assert one.foreman.machine().generation == 2


async def test_a_plan_changes_only_what_differs(tmp_path: Path) -> None:
    """One host is new, one is changed, one is gone, and control goes on as it was."""
    before = plan_of({}, {"agents": ["text-tell"], "old": ["text-old"]})
    after = plan_of({}, {"agents": ["text-tell", "text-sum"], "new": ["text-new"]})
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(before))
        control = await one.serve("control")
        await one.serve("agents")
        await one.serve("old")
        changes = await one.foreman.apply(wanted_of(after))
        assert {change.host: change.deed for change in changes} == {
            "control": pb.DEED_KEEP,
            "agents": pb.DEED_RESTART,
            "new": pb.DEED_START,
            "old": pb.DEED_STOP,
        }
        await one.news.until(lambda: one.host("agents").starts == 2)
        await one.serve("agents")
        await one.serve("new")
        assert one.host("control").pid == control.pid
        assert set(records(one.home.hosts)) == {"control", "agents", "new"}


async def test_what_a_host_uses_is_known_and_nobody_is_woken_for_it(tmp_path: Path) -> None:
    """All hosts say every few seconds what they use; each word would be told to all who watch."""
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(plan_of({"alpha": ["utility-one"]})))
        host = await one.serve("alpha")
        change, usage = one.news.next(), one.usage.next()
        one.watching.use(host, 7_000_000)
        await usage.wait()
        assert one.host("alpha").memory_bytes == 7_000_000
        assert not change.is_set()
        one.watching.say(host)
        await change.wait()
        assert one.state("alpha") == pb.HOST_STATE_DEGRADED


async def test_a_host_that_dies_is_started_again_and_says_of_what(tmp_path: Path) -> None:
    """Alone: its neighbours keep their processes."""
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(TWO_LAYERS))
        control = await one.serve("control")
        before = await one.serve("agents")
        os.kill(before.pid, signal.SIGKILL)
        await one.news.until(lambda: bool(one.host("agents").cause))
        assert one.host("agents").cause == "its process was ended by SIGKILL"
        await one.serve("agents")
        assert (one.host("agents").starts, one.host("agents").cause) == (2, "")
        assert one.host("control").pid == control.pid


async def test_a_host_that_never_comes_up_is_given_up_with_its_last_word(tmp_path: Path) -> None:
    """The rest of the fleet is settled without it."""
    async with machine(tmp_path, broken="agents") as one:
        one.foreman.begin(wanted_of(plan_of({}, {"agents": ["text-tell"], "b": ["text-b"]})))
        await one.serve("control")
        await one.serve("b")
        await one.news.until(lambda: one.foreman.machine().settled)
        host = one.host("agents")
        assert host.state == pb.HOST_STATE_FAILED
        assert host.cause == "given up: its process ended with 1: no model here"


async def test_m021_an_unhealthy_dependency_holds_its_dependants_back(tmp_path: Path) -> None:
    """They have no process until it serves; who does not need it starts without it."""
    plan = plan_of({}, {"guard": ["text-guard"]}, {"tell": ["text-tell"], "free": ["text-free"]})
    for host in plan.machines[0].hosts:
        if host.name == "tell":
            host.agents[0].waits_for.extend(["control-registry", "text-guard"])
    async with machine(tmp_path, broken="guard") as one:
        one.foreman.begin(wanted_of(plan))
        await one.serve("control")
        await one.serve("free")
        await one.news.until(lambda: one.foreman.machine().settled)
        assert one.host("guard").cause.startswith("given up: ")
        held = one.host("tell")
        assert (held.state, held.pid) == (pb.HOST_STATE_WAITING, 0)
        assert held.cause == "it waits for text-guard"
        one.broken = ""
        (guard,) = [post for post in one.foreman.posts() if post.name == "guard"]
        guard.fill()
        await one.serve("guard")
        await one.serve("tell")
        await one.news.until(lambda: one.foreman.machine().settled)


async def test_hosts_outlive_their_supervisor_and_are_taken_over(tmp_path: Path) -> None:
    """The next one watches the same processes, and starts what died meanwhile."""
    plan = plan_of({}, {"agents": ["text-tell"], "other": ["text-other"]})
    first = Machine(tmp_path)
    first.foreman.begin(wanted_of(plan))
    await first.serve("control")
    kept, killed = await first.serve("agents"), await first.serve("other")
    await first.foreman.leave()
    os.kill(killed.pid, signal.SIGKILL)
    async with machine(tmp_path) as second:
        second.foreman.begin(wanted_of(plan))
        await second.serve("control")
        assert (await second.serve("agents")).pid == kept.pid
        assert (await second.serve("other")).pid != killed.pid
        assert second.host("agents").starts == 1


async def test_what_was_being_stopped_is_stopped_by_the_next_supervisor(tmp_path: Path) -> None:
    """One that died before its host did leaves no host that nobody wants."""
    first = Machine(tmp_path)
    first.foreman.begin(wanted_of(TWO_LAYERS))
    await first.serve("control")
    await first.serve("agents")
    await first.foreman.leave()
    wanted = wanted_of(TWO_LAYERS)
    wanted.stopped_hosts.append("agents")
    async with machine(tmp_path) as second:
        assert second.foreman.begin(wanted) == ["control"]
        await second.serve("control")
        await second.news.until(lambda: second.foreman.machine().settled)
        assert second.state("agents") == pb.HOST_STATE_STOPPED
        assert set(records(second.home.hosts)) == {"control"}


async def test_a_process_that_cannot_be_written_down_is_none(tmp_path: Path) -> None:
    """A disk that fills up in between leaves nothing that nobody would find again."""
    async with machine(tmp_path) as one:
        (tmp_path / "run/hosts/agents.json.new").symlink_to("/dev/full")
        one.foreman.begin(wanted_of(TWO_LAYERS))
        await one.serve("control")
        await one.until("agents", pb.HOST_STATE_FAILED)
        await asyncio.to_thread(wait_for, children() - {one.host("control").pid})
        assert children() == {one.host("control").pid}


async def test_a_dead_host_is_killed_also_if_its_plan_cannot_be_written(tmp_path: Path) -> None:
    """A full disk costs the spinning agent a host of its own, and nobody a host that is dead."""
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(plan_of({}, {"agents": ["text-tell", "text-sum"]})))
        await one.serve("control")
        before = await one.serve("agents")
        (post,) = (post for post in one.foreman.posts() if post.name == "agents")
        (tmp_path / "run/wanted.binpb.new").symlink_to("/dev/full")
        finding = Finding(Verdict.DEAD, "it spins", "text-tell", spins=True)
        await Vigilance(one.foreman, one.home, CLOCK).end(post, finding)
        await one.news.until(lambda: one.host("agents").pid not in {0, before.pid})
        assert "it spins" in one.host("agents").cause


async def test_m021_the_fleet_ends_in_the_reverse_order(tmp_path: Path) -> None:
    """Control is the last that drains, and nothing is left."""
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(TWO_LAYERS))
        await one.serve("control")
        await one.serve("agents")
        one.foreman.shut_down()
        await one.until("agents", pb.HOST_STATE_DRAINING)
        assert one.state("control") == pb.HOST_STATE_SERVING
        await one.until("control", pb.HOST_STATE_DRAINING)
        assert one.state("agents") == pb.HOST_STATE_STOPPED
        told = [machine async for machine in one.foreman.watch()]
        assert told[-1].ending
        assert records(one.home.hosts) == {}
        with pytest.raises(Ending):
            await one.foreman.apply(wanted_of(TWO_LAYERS))


async def test_a_supervisor_goes_on_ending_what_the_one_before_it_began_to_end(
    tmp_path: Path,
) -> None:
    """A fleet that is told to end does, also if its supervisor is killed meanwhile."""
    first = Machine(tmp_path)
    first.foreman.begin(wanted_of(TWO_LAYERS))
    await first.serve("control")
    first.home.say_ending()
    await first.foreman.leave()
    async with machine(tmp_path) as second:
        second.foreman.begin(wanted_of(TWO_LAYERS))
        await second.news.until(lambda: second.has_ended)


async def test_a_plan_of_other_machines_is_refused(tmp_path: Path) -> None:
    """It names those that the plan has; what runs goes on."""
    async with machine(tmp_path) as one:
        one.foreman.begin(wanted_of(TWO_LAYERS))
        other = wanted_of(TWO_LAYERS)
        other.machine = "pc2"
        with pytest.raises(PlanUnusable, match=r"lacks this machine.*pc2.*laptop"):
            await one.foreman.apply(other)
        assert one.foreman.machine().generation == 1
