"""The policy with one thing changed, and what the change was. Pure: every function answers with a
message of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from tandem.control.v1 import traffic_policy_pb2 as pb


def with_service(policy: pb.TrafficPolicy, service: pb.ServicePolicy) -> pb.TrafficPolicy:
    """With this policy of the service, in place of the one that it had."""
    others = [one for one in policy.services if one.service != service.service]
    return _with(policy, services=(*others, service))


def with_host(policy: pb.TrafficPolicy, host: str, *, drained: bool) -> pb.TrafficPolicy:
    others = [one for one in policy.drained_hosts if one != host]
    return _with(policy, drained_hosts=(*others, host) if drained else others)


def tidied(policy: pb.TrafficPolicy) -> pb.TrafficPolicy:
    """As it is kept: two that say the same are equal."""
    said = (one for one in policy.services if one != pb.ServicePolicy(service=one.service))
    return pb.TrafficPolicy(
        services=sorted(said, key=lambda one: one.service),
        drained_hosts=sorted(policy.drained_hosts),
        client_calls_max=policy.client_calls_max,
    )


def difference(before: pb.TrafficPolicy, after: pb.TrafficPolicy) -> pb.PolicyChange:
    """What was changed, without when, by whom and why."""
    change = pb.PolicyChange()
    old = {one.service: one for one in before.services}
    new = {one.service: one for one in after.services}
    for service in sorted(old.keys() | new.keys()):
        was, is_now = old.get(service), new.get(service)
        if was != is_now:
            change.services.add(before=was, after=is_now)
    change.drained_hosts.extend(sorted(set(after.drained_hosts) - set(before.drained_hosts)))
    change.returned_hosts.extend(sorted(set(before.drained_hosts) - set(after.drained_hosts)))
    if before.client_calls_max != after.client_calls_max:
        change.client_calls_max_before = before.client_calls_max
        change.client_calls_max_after = after.client_calls_max
    return change


def _with(
    policy: pb.TrafficPolicy,
    services: Iterable[pb.ServicePolicy] | None = None,
    drained_hosts: Iterable[str] | None = None,
) -> pb.TrafficPolicy:
    return pb.TrafficPolicy(
        services=policy.services if services is None else services,
        drained_hosts=policy.drained_hosts if drained_hosts is None else drained_hosts,
        client_calls_max=policy.client_calls_max,
    )
