"""What operators change at run time, as unmodified clients and the fleet's own agents meet it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from tandem.control.v1 import fleet_status_service_pb2 as status_pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as status_rpc
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as rpc
from tandemkit.testing.parts import short_folder
from tests.cluster import relay_host
from tests.cluster.aloud import Tell
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.eventually import eventually
from tests.cluster.load import Outcome
from tests.cluster.mesh.trial_contract import ALPHA, BETA, Answer, Question
from tests.cluster.test_front import Grpcurl

pytestmark = pytest.mark.cluster
NOTE = nouns.ChangeNote(author="test", reason="to see what it does")
RATE = 200.0


class Operator:
    """Changes the policy at one control."""

    def __init__(self, fleet: Controlled, control: str = "control") -> None:
        self._fleet, self._control = fleet, control

    async def set(self, **said: Any) -> int:
        """For the first trial agent."""
        policy = nouns.ServicePolicy(**{"service": ALPHA, **said})
        request = pb.SetServicePolicyRequest(policy=policy, note=NOTE)
        async with self._fleet.at(self._control) as channel:
            return (await rpc.TrafficPolicyServiceStub(channel).SetServicePolicy(request)).version

    async def weigh(self, **weights: int) -> int:
        told = [nouns.VersionShare(version=label, weight=one) for label, one in weights.items()]
        return await self.set(shares=told)

    async def undo(self) -> None:
        async with self._fleet.at(self._control) as channel:
            stub = rpc.TrafficPolicyServiceStub(channel)
            await stub.UndoPolicyChange(pb.UndoPolicyChangeRequest(note=NOTE))

    async def drain(self, host: str) -> None:
        async with self._fleet.at(self._control) as channel:
            stub = rpc.TrafficPolicyServiceStub(channel)
            await stub.DrainHost(pb.DrainHostRequest(host=f"hosts/{host}", note=NOTE))

    async def until_in_force(self, version: int) -> None:
        """Returns once this control tells by it."""

        async def look() -> int:
            async with self._fleet.at(self._control) as channel:
                stub = status_rpc.FleetStatusServiceStub(channel)
                told = await stub.GetPublication(status_pb.GetPublicationRequest())
            return told.policy_version

        await eventually(look, lambda found: found == version, within_s=3.0)


def counted(outcome: Outcome) -> dict[str, object]:
    return {"answers": outcome.answers, "failures": outcome.failures}


@pytest.fixture
async def fleet() -> AsyncIterator[Controlled]:
    """A control, and a host of each of two versions, which answer with its label."""
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            labels = ("blue", "green")
            hosts = (fleet.start_host(one, "--version-label", one) for one in labels)
            await asyncio.gather(*hosts)
            await fleet.until_serving(*labels)
            yield fleet


async def test_a_canary_gets_its_share_and_testers_get_the_canary(
    fleet: Controlled, tell: Tell
) -> None:
    """A tenth of the calls by weight, all of those with the header."""
    client, operator = await fleet.client(), Operator(fleet)
    await client.until_only("Alpha/Ask", "blue", "green")
    shares = [
        nouns.VersionShare(version="blue", weight=90),
        nouns.VersionShare(version="green", weight=10),
    ]
    preferred = nouns.VersionPreference(header="x-tester", value="yes", version="green")
    version = await operator.set(shares=shares, preferences=[preferred])
    await operator.until_in_force(version)
    headers = {"x-tester": "yes"}

    async def look() -> dict[str, int]:
        return (await client.run("Alpha/Ask", 10, headers=headers)).answers

    await eventually(look, lambda answers: answers == {"green": 10})
    outcome = await client.run("Alpha/Ask", 1000)
    tell("grpcio: canary 90/10", counted(outcome))
    assert outcome.failures == {}
    # Four standard deviations: a fair die fails this once in 16,000 runs.
    assert 862 <= outcome.answers["blue"] <= 938
    chosen = await client.run("Alpha/Ask", 100, headers=headers)
    assert (chosen.answers, chosen.failures) == ({"green": 100}, {})
    other = await client.run("Beta/Ask", 100, at_once=1)
    assert other.answers == {"blue": 50, "green": 50}


async def test_a_switch_from_blue_to_green_costs_no_call(fleet: Controlled, tell: Tell) -> None:
    """Nor does its undoing; calls that may be made only once go on at 200 a second meanwhile."""
    client, operator = await fleet.client(), Operator(fleet)
    await operator.weigh(blue=1, green=0)
    await client.until_only("Alpha/Ask", "blue")

    async def switch() -> None:
        await client.has_made(300)
        await operator.weigh(blue=0, green=1)
        await client.has_made(900)
        await operator.undo()

    outcome, _ = await asyncio.gather(client.run("Alpha/Add", 1500, per_s=RATE), switch())
    tell("grpcio: blue to green and back under 200 calls a second", counted(outcome))
    assert outcome.failures == {}
    assert sum(outcome.answers.values()) == outcome.started == 1500
    assert outcome.answers["green"] >= 300
    assert outcome.answers["blue"] >= 300
    assert (await client.run("Alpha/Ask", 20)).answers == {"blue": 20}


async def test_a_fault_is_met_until_it_is_undone(fleet: Controlled, tell: Tell) -> None:
    """By the calls of one agent and of no other, in the part that was asked for."""
    client, operator = await fleet.client(), Operator(fleet)
    await client.until_only("Alpha/Ask", "blue", "green")
    aborted = nouns.InjectedFault(abort_code="RESOURCE_EXHAUSTED", percent=25)
    await operator.set(fault=aborted)

    async def look() -> Outcome:
        return await client.run("Alpha/Ask", 50)

    await eventually(look, lambda one: bool(one.failures))
    outcome = await client.run("Alpha/Ask", 1000)
    tell("grpcio: a fault for 25 %", counted(outcome))
    # Four standard deviations again.
    assert 195 <= outcome.failures["RESOURCE_EXHAUSTED"] <= 305
    assert (await client.run("Beta/Ask", 100)).failures == {}
    await operator.undo()
    await eventually(look, lambda one: not one.failures)
    late = nouns.InjectedFault(delay=Duration(nanos=300_000_000), percent=100)
    await operator.set(fault=late)
    await eventually(look, lambda one: one.slowest_s >= 0.3 and not one.failures)
    await operator.undo()
    await eventually(look, lambda one: one.slowest_s < 0.3)


async def test_a_drained_host_gets_no_new_calls_and_no_call_fails(
    fleet: Controlled, tell: Tell
) -> None:
    """It stays registered, and is back when the drain is undone."""
    client, operator = await fleet.client(), Operator(fleet)
    await client.until_only("Alpha/Ask", "blue", "green")

    async def drain() -> None:
        await client.has_made(300)
        await operator.drain("blue")

    outcome, _ = await asyncio.gather(client.run("Alpha/Add", 1500, per_s=RATE), drain())
    tell("grpcio: a host drained under 200 calls a second", counted(outcome))
    assert outcome.failures == {}
    assert outcome.answers["green"] > 600
    assert (await client.run("Alpha/Ask", 50)).answers == {"green": 50}
    await fleet.until_serving("blue", "green")
    await operator.undo()
    await client.until_only("Alpha/Ask", "blue", "green")


async def test_a_change_at_any_control_is_in_force_at_all(fleet: Controlled) -> None:
    """And after kill -9 of the one that has the registry, from its first word."""
    await fleet.start_second()
    first, second, version = Operator(fleet), Operator(fleet, "second"), 0
    for changing in (second, first, second):
        label = "green" if changing is second else "blue"
        version = await changing.weigh(**{label: 1})
        await asyncio.gather(first.until_in_force(version), second.until_in_force(version))
    await fleet.kill("control")
    await fleet.start_control()
    await first.until_in_force(version)
    await fleet.until_serving("blue", "green")
    client = await fleet.client()
    outcome = await client.run("Alpha/Ask", 100)
    assert (outcome.answers, outcome.failures) == ({"green": 100}, {})


async def test_calls_between_agents_of_one_host_meet_the_policy(fleet: Controlled) -> None:
    """They leave the process while there is a fault, or their host is drained, and no longer."""
    await fleet.start_host("relay", module=relay_host)
    await fleet.until_serving("blue", "green", "relay")
    operator = Operator(fleet)
    async with fleet.at("relay") as channel:
        ask: Any = channel.unary_unary(
            f"/{BETA}/Ask",
            request_serializer=Question.SerializeToString,
            response_deserializer=Answer.FromString,
        )

        async def heard() -> str:
            return str((await ask(Question())).text)

        async def hears(*answers: str) -> None:
            await eventually(heard, lambda one: one in answers)

        assert await heard() == "relay near"
        await operator.set(fault=nouns.InjectedFault(abort_code="RESOURCE_EXHAUSTED", percent=100))
        await hears("RESOURCE_EXHAUSTED")
        await operator.undo()
        await hears("relay near")
        await operator.drain("relay")
        await hears("blue", "green")
        await operator.undo()
        await hears("relay near")


@pytest.mark.real("grpcurl")
async def test_grpcurl_meets_the_same_policy(fleet: Controlled, tell: Tell) -> None:
    """Each run is a client of its own, in another language, that throws its own dice."""
    operator, grpcurl = Operator(fleet), Grpcurl(fleet)
    # Each run asks it for the contract first.
    await grpcurl.until_listed(ALPHA)
    at_once = asyncio.Semaphore(4)

    async def ask(*flags: str) -> str:
        async with at_once:
            done = await grpcurl.run(*flags, said=(f"{ALPHA}/Ask",))
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["text"])

    async def asked(count: int, *flags: str) -> Counter[str]:
        return Counter(await asyncio.gather(*(ask(*flags) for _ in range(count))))

    shares = [
        nouns.VersionShare(version="blue", weight=90),
        nouns.VersionShare(version="green", weight=10),
    ]
    preferred = nouns.VersionPreference(header="x-tester", value="yes", version="green")
    await operator.until_in_force(await operator.set(shares=shares, preferences=[preferred]))
    canary = await asked(100)
    tell("grpcurl: canary 90/10", dict(canary))
    # Four standard deviations of so few calls.
    assert 78 <= canary["blue"] < 100
    assert await asked(8, "-H", "x-tester: yes") == {"green": 8}
    await operator.weigh(blue=1, green=0)

    async def switch() -> None:
        await eventually(ask, lambda one: one == "blue")
        await operator.weigh(blue=0, green=1)

    switched, _ = await asyncio.gather(asked(60), switch())
    tell("grpcurl: blue to green under way", dict(switched))
    assert switched.total() == 60
    assert await asked(8) == {"green": 8}
