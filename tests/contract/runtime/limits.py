"""How many calls a host takes on, and for how long."""

from __future__ import annotations

import grpc

from tandem.control.v1 import traffic_policy_pb2 as policy_pb
from tandem.control.v1 import traffic_policy_service_pb2 as service_pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as service_rpc
from tandemkit.testing.failures import failure_of
from tests.cluster.eventually import eventually
from tests.contract.runtime.calls import PLATFORM
from tests.contract.runtime.hosted import Fleet, Host

CODE = grpc.StatusCode


class LimitPromises:
    async def test_one_call_too_many_is_refused_with_a_delay(self, host: Host) -> None:
        """Those in progress are not touched, and there is room again behind the first that ends."""
        most = host.runtime.method(host.runtime.held.method).concurrent_calls_max
        held = [await host.hold() for _ in range(most)]
        refused = failure_of(await (await host.hold()).failure())
        assert (refused.code, refused.reason) == (CODE.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert (refused.domain, refused.retry_after_s) == (PLATFORM, 0.1)
        assert refused.metadata == {"concurrent_calls_max": str(most)}
        assert host.runtime.held.is_right(await held.pop().finish())
        held.append(await host.hold())
        for one in held:
            assert host.runtime.held.is_right(await one.finish())

    async def test_policy_lets_in_fewer_calls(self, fleet: Fleet, host: Host) -> None:
        """Of the operator, at run time; taken back, the contract's own limit holds again."""

        async def refused() -> bool:
            second = await host.hold()
            is_refused = second.call.done()
            second.call.cancel()
            return bool(is_refused)

        held = await host.hold()
        await limited(fleet, host, 1)
        await eventually(refused)
        await limited(fleet, host, 0)
        await eventually(refused, lambda found: not found)
        assert host.runtime.held.is_right(await held.finish())

    async def test_a_call_ends_with_its_callers_deadline(self, host: Host) -> None:
        """At the host too, whose room it leaves."""
        late = failure_of(await (await host.hold(timeout=0.5)).failure())
        assert late.code is CODE.DEADLINE_EXCEEDED
        await until_empty(host)

    async def test_a_call_ends_with_its_caller(self, host: Host) -> None:
        """One that hangs up leaves the room as well."""
        held = await host.hold()
        held.call.cancel()
        await until_empty(host)

    async def test_a_call_ends_at_its_methods_own_deadline(self, host: Host) -> None:
        """Also where its caller set none: its contract does."""
        method = host.runtime.method(host.runtime.held.method)
        assert method.deadline_s is not None
        late = failure_of(await (await host.hold()).failure())
        assert (late.code, late.reason) == (CODE.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert (late.domain, float(late.metadata["deadline_s"])) == (PLATFORM, method.deadline_s)


async def limited(fleet: Fleet, host: Host, calls_max: int) -> None:
    """By whoever runs the fleet."""
    policy = policy_pb.ServicePolicy(service=host.runtime.service, concurrent_calls_max=calls_max)
    note = policy_pb.ChangeNote(author="ann", reason="a test")
    async with fleet.control() as channel:
        request = service_pb.SetServicePolicyRequest(policy=policy, note=note)
        await service_rpc.TrafficPolicyServiceStub(channel).SetServicePolicy(request, timeout=5)


async def until_empty(host: Host) -> None:
    """Returns once as many calls may be held as if there were none."""
    most = host.runtime.method(host.runtime.held.method).concurrent_calls_max

    async def look() -> bool:
        held = [await host.hold() for _ in range(most)]
        fits = not any(one.call.done() for one in held)
        for one in held:
            one.call.cancel()
        return fits

    await eventually(look)
