"""What an unmodified gRPC client does with what the control plane tells it."""

from __future__ import annotations

import asyncio
import signal
import subprocess

import pytest

from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.mesh.catalogue import Placement
from tandemkit.mesh.policy import Fault, Preference, ServicePolicy, Share, TrafficPolicy
from tandemkit.mesh.routes import SLACK_S
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.testing.parts import demand
from tandemkit.testing.tokens import GRPCURL_FLAGS, grpcurl_variables, token_of_user
from tests.cluster.eventually import eventually
from tests.cluster.load import Outcome
from tests.cluster.mesh.trial_contract import AFFINITY, ALPHA, WAIT_MS
from tests.cluster.mesh.trial_fleet import HERE, THERE, Fleet

pytestmark = pytest.mark.cluster


async def test_calls_go_round_the_hosts_of_the_callers_machine(fleet: Fleet) -> None:
    """Both hosts here answer their half, whatever machine is theirs; the one there answers none."""
    _, port = await fleet.control()
    for name, machine in (("a", HERE), ("b", HERE), ("c", THERE)):
        await fleet.host(name, machine)
    fleet.publish()
    near = await fleet.client(port)
    await near.until_only("Alpha/Ask", "a", "b")
    outcome = await near.run("Alpha/Ask", 100, at_once=1)
    assert outcome.failures == {}
    assert outcome.answers == {"a": 50, "b": 50}
    far = await fleet.client(port, machine=THERE, name="far")
    assert (await far.run("Beta/Ask", 10)).answers == {"c": 10}


async def test_shares_and_preferences_choose_the_version(fleet: Fleet) -> None:
    """A canary gets its tenth, a header overrides the dice, and a switch moves everybody."""
    _, port = await fleet.control()
    for version in ("blue", "green"):
        await fleet.host(version, version=version)
    shares = (Share("blue", 90), Share("green", 10))
    canary = ServicePolicy(shares, (Preference("x-tester", "yes", "green"),))
    fleet.publish(TrafficPolicy({ALPHA: canary}))
    client = await fleet.client(port)
    outcome = await client.run("Alpha/Ask", 1000)
    assert outcome.failures == {}
    # Four standard deviations: a fair die fails this once in 16,000 runs.
    assert 862 <= outcome.answers["blue"] <= 938
    chosen = await client.run("Alpha/Ask", 100, headers={"x-tester": "yes"})
    assert chosen.answers == {"green": 100}
    switched = ServicePolicy((Share("blue", 0), Share("green", 1)))
    fleet.publish(TrafficPolicy({ALPHA: switched}))
    await client.until_only("Alpha/Ask", "green")
    assert (await client.run("Alpha/Ask", 100)).answers == {"green": 100}


async def test_a_version_without_hosts_is_answered_by_the_others(fleet: Fleet) -> None:
    """A share of a version that died is no share of failures."""
    _, port = await fleet.control()
    for version in ("blue", "green"):
        await fleet.host(version, version=version)
    policy = TrafficPolicy({ALPHA: ServicePolicy((Share("green", 1),))})
    fleet.publish(policy)
    client = await fleet.client(port)
    assert (await client.run("Alpha/Ask", 20)).answers == {"green": 20}
    fleet.publish(policy, without="green")
    await client.until_only("Alpha/Ask", "blue")


async def test_a_fault_meets_the_calls_that_it_is_meant_for(fleet: Fleet) -> None:
    """The one agent's calls end with the code or come late, the other's do not; undone, all do."""
    _, port = await fleet.control()
    await fleet.host("a")
    fault = Fault(percent=100, abort_code=8)
    fleet.publish(TrafficPolicy({ALPHA: ServicePolicy(fault=fault)}))
    client = await fleet.client(port)
    assert (await client.run("Alpha/Ask", 20)).failures == {"RESOURCE_EXHAUSTED": 20}
    assert (await client.run("Beta/Ask", 20)).answers == {"a": 20}
    fleet.publish(TrafficPolicy({ALPHA: ServicePolicy(fault=Fault(percent=100, delay_s=0.3))}))

    async def look() -> Outcome:
        return await client.run("Alpha/Ask", 1)

    await eventually(look, lambda one: one.answers == {"a": 1} and one.slowest_s >= 0.3)
    fleet.publish()
    await eventually(look, lambda one: one.slowest_s < 0.3)


async def test_a_session_sticks_to_one_host_for_every_caller(fleet: Fleet) -> None:
    """Calls with one header value meet one host, the same from both machines; values spread."""
    _, port = await fleet.control()
    for name, machine in (("a", HERE), ("b", HERE), ("c", THERE)):
        await fleet.host(name, machine)
    fleet.publish()
    near = await fleet.client(port)
    far = await fleet.client(port, machine=THERE, name="far")
    owners: set[str] = set()
    for session in map(str, range(12)):
        here = await near.run("Alpha/Stick", 10, headers={AFFINITY: session})
        there = await far.run("Alpha/Stick", 10, headers={AFFINITY: session})
        assert len(here.answers) == 1
        assert here.answers == there.answers
        owners.update(here.answers)
    assert len(owners) > 1


async def test_a_method_ends_at_its_own_deadline_without_the_callers(fleet: Fleet) -> None:
    """A frozen host cannot end a call; the route does, soon after its server would have."""
    _, port = await fleet.control()
    await fleet.host("a")
    fleet.publish()
    client = await fleet.client(port)
    assert (await client.run("Alpha/Ask", 1)).answers == {"a": 1}
    fleet.kill("a", signal.SIGSTOP)
    outcome = await client.run("Alpha/Wait", 1)
    fleet.kill("a", signal.SIGCONT)
    assert outcome.failures == {"DEADLINE_EXCEEDED": 1}
    assert WAIT_MS / 1000 <= outcome.slowest_s < WAIT_MS / 1000 + SLACK_S + 1


async def test_an_instance_is_reached_by_its_name_and_by_nothing_else(fleet: Fleet) -> None:
    """The header leads to the named instance; a name that nobody has fails at once."""
    _, port = await fleet.control()
    await fleet.host("plain")
    await fleet.host("other", placements=(Placement(ALPHA, "trial-alpha-other"),))
    fleet.publish()
    client = await fleet.client(port)
    for name, answering in (("trial-alpha-other", "other"), ("trial-alpha", "plain")):
        outcome = await client.run("Alpha/Ask", 10, headers={INSTANCE_HEADER: name})
        assert outcome.answers == {answering: 10}
    assert (await client.run("Alpha/Ask", 10)).answers == {"plain": 10}
    nobody = await client.run("Alpha/Ask", 2, headers={INSTANCE_HEADER: "trial-alpha-nobody"})
    assert nobody.failures == {"UNAVAILABLE": 2}
    assert nobody.slowest_s < 5


@pytest.mark.real("grpcurl")
async def test_grpcurl_calls_and_describes_over_the_same_target(fleet: Fleet) -> None:
    """A client in another language resolves it; reflection is answered by the group in front."""
    _, port = await fleet.control()
    await fleet.host("a")
    fleet.publish()
    text = bootstrap(Node("grpcurl", HERE), [f"127.0.0.1:{port}"])
    quickly = ("-plaintext", "-max-time", "20", *GRPCURL_FLAGS)
    argv = (str(demand("grpcurl")["grpcurl"]), *quickly, "xds:///tandem")

    def told(*arguments: str) -> str:
        shown = grpcurl_variables(token_of_user(fleet.folder))
        environment = {VARIABLE: text, "HOME": str(fleet.folder), **shown}
        done = subprocess.run(
            (*argv, *arguments), env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ALPHA in (await asyncio.to_thread(told, "list")).splitlines()
    assert '"text": "a"' in await asyncio.to_thread(told, f"{ALPHA}/Ask")
