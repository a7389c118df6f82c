"""What the supervisor of its machine sees of a host, and asks of the agent in it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandemkit.testing.failures import failure_of
from tests.cluster.eventually import eventually
from tests.contract.runtime.calls import failed
from tests.contract.runtime.hosted import Fleet, Host

CODE = grpc.StatusCode
SERVING, DRAINING = nouns.AGENT_STATE_SERVING, nouns.AGENT_STATE_DRAINING
SUSPENDED, STOPPED = nouns.AGENT_STATE_SUSPENDED, nouns.AGENT_STATE_STOPPED


class OversightPromises:
    async def test_a_watch_begins_with_the_host_as_it_is(self, host: Host) -> None:
        """And it is told again within five seconds, for memory and CPU time change."""
        watch: Any = host.stub.WatchHost(pb.WatchHostRequest())
        first = await watch.read()
        (agent,) = first.agents
        assert (agent.name, agent.service) == (host.runtime.agent, host.runtime.service)
        assert (agent.state, agent.cause, agent.restarts) == (SERVING, "", 0)
        assert not first.draining
        assert first.memory_bytes > 1 << 20
        assert first.cpu.ToTimedelta().total_seconds() > 0
        assert (await watch.read()).cpu.ToTimedelta() >= first.cpu.ToTimedelta()
        watch.cancel()

    async def test_who_shows_no_token_oversees_nothing(self, host: Host) -> None:
        """Neither watches nor commands."""
        stub: Any = rpc.HostServiceStub(host.open_channel)
        found = await failed(stub.CommandAgent(commanded(host, nouns.VERB_STOP)))
        assert found.reason == "TOKEN_MISSING"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.WatchHost(pb.WatchHostRequest()).read()
        assert failure_of(refused.value).reason == "TOKEN_MISSING"

    @pytest.mark.parametrize(
        ("down", "up", "state"),
        [
            (nouns.VERB_SUSPEND, nouns.VERB_RESUME, SUSPENDED),
            (nouns.VERB_STOP, nouns.VERB_START, STOPPED),
        ],
    )
    async def test_an_agent_is_put_down_and_taken_up(
        self,
        fleet: Fleet,
        host: Host,
        down: nouns.Verb.ValueType,
        up: nouns.Verb.ValueType,
        state: int,
    ) -> None:
        """Its callers are told who and why, the registry hears of it, and then it serves again."""
        watch = await host.watch()
        done = await host.stub.CommandAgent(commanded(host, down))
        assert (done.agent.state, done.was_so_already) == (state, False)
        assert done.agent.cause.endswith("by ann: a test")
        assert (await host.stub.CommandAgent(commanded(host, down))).was_so_already
        assert (await told(watch, state)).cause == done.agent.cause
        watch.cancel()
        good = host.runtime.good
        found = await failed(host.unary(good.method)(good.request))
        assert (found.code, found.reason) == (CODE.UNAVAILABLE, "SUSPENDED")
        assert found.metadata == {"by": "ann", "why": "a test"}
        said = await host.get(f"/health/{host.runtime.agent}")
        assert (said.status, said.value["status"]) == (503, state_name(state))
        await until_shown(fleet, host, serving=False)
        done = await host.stub.CommandAgent(commanded(host, up))
        assert (done.agent.state, done.agent.cause) == (SERVING, "")
        assert good.is_right(await host.ask(good))
        await until_shown(fleet, host, serving=True)

    async def test_a_call_in_progress_may_finish_before_its_agent_stops(self, host: Host) -> None:
        """New ones are refused meanwhile."""
        held = await host.hold()
        watch = await host.watch()
        command = host.stub.CommandAgent(commanded(host, nouns.VERB_SUSPEND))
        await told(watch, SUSPENDED)
        watch.cancel()
        good = host.runtime.good
        assert (await failed(host.unary(good.method)(good.request))).reason == "SUSPENDED"
        assert not command.done()
        assert host.runtime.held.is_right(await held.finish())
        assert (await command).agent.state == SUSPENDED
        await host.stub.CommandAgent(commanded(host, nouns.VERB_RESUME))

    async def test_a_restart_is_counted(self, host: Host) -> None:
        """The agent is built anew, whether or not it was well."""
        before = await standing(host)
        done = await host.stub.CommandAgent(commanded(host, nouns.VERB_RESTART))
        assert done.agent.state == SERVING
        assert done.agent.restarts == before.restarts + 1
        assert host.runtime.good.is_right(await host.ask(host.runtime.good))

    async def test_a_drained_agent_answers_and_is_not_recommended(
        self, fleet: Fleet, host: Host
    ) -> None:
        """Until it is returned."""
        done = await host.stub.CommandAgent(commanded(host, nouns.VERB_DRAIN))
        assert done.agent.state == DRAINING
        assert host.runtime.good.is_right(await host.ask(host.runtime.good))
        await until_shown(fleet, host, serving=False)
        done = await host.stub.CommandAgent(commanded(host, nouns.VERB_RETURN))
        assert (done.agent.state, done.was_so_already) == (SERVING, False)
        assert (await host.stub.CommandAgent(commanded(host, nouns.VERB_RETURN))).was_so_already

    async def test_a_command_for_nobody_is_refused(self, host: Host) -> None:
        """With near names; and so is one that does not say what, or whose."""
        near = commanded(host, nouns.VERB_STOP)
        near.agent += "x"
        found = await failed(host.stub.CommandAgent(near))
        assert (found.code, found.reason) == (CODE.NOT_FOUND, "AGENT_NOT_ON_HOST")
        assert (found.domain, found.metadata["near"]) == ("tandem.control.v1", host.runtime.agent)
        found = await failed(host.stub.CommandAgent(commanded(host, nouns.VERB_UNSPECIFIED)))
        assert (found.reason, list(found.violations)) == ("INVALID_REQUEST", ["verb"])
        unsigned = pb.CommandAgentRequest(agent=host.runtime.agent, verb=nouns.VERB_STOP)
        found = await failed(host.stub.CommandAgent(unsigned))
        assert (found.reason, list(found.violations)) == ("INVALID_REQUEST", ["note"])


def commanded(host: Host, verb: nouns.Verb.ValueType) -> pb.CommandAgentRequest:
    note = policy.ChangeNote(author="ann", reason="a test")
    return pb.CommandAgentRequest(agent=host.runtime.agent, verb=verb, note=note)


def state_name(state: int) -> str:
    """As /health says it."""
    return next(
        name.removeprefix("AGENT_STATE_")
        for name, number in nouns.AgentState.items()
        if number == state
    )


async def standing(host: Host) -> nouns.AgentStanding:
    watch: Any = host.stub.WatchHost(pb.WatchHostRequest())
    (agent,) = (await watch.read()).agents
    watch.cancel()
    found: nouns.AgentStanding = agent
    return found


async def told(watch: Any, state: int) -> nouns.AgentStanding:
    """The first that a watch says of the agent in that state."""
    while True:
        (agent,) = (await watch.read()).agents
        if agent.state == state:
            found: nouns.AgentStanding = agent
            return found


async def until_shown(fleet: Fleet, host: Host, *, serving: bool) -> None:
    """Returns once the registry has it so."""

    async def look() -> bool:
        return (await fleet.hosts())[host.name].placements[0].serving

    await eventually(look, lambda found: found is serving)
