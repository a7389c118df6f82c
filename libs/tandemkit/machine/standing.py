"""How the machine is, as a message."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.machine.orders import Order, own_host, site_of
from tandemkit.machine.post import Post
from tandemkit.machine.registry_kind import registry_of
from tandemkit.supervise.judging import Verdict
from tandemkit.written.pools import pool_name


def machine_standing(
    wanted: pb.WantedMachine, posts: Collection[Post], pid: int, *, ending: bool
) -> pb.Machine:
    """All of it but what the walk through the layers has come to; `pid` is the supervisor's."""
    site = site_of(wanted)
    hosts = [host_standing(post) for post in posts if post.order.part is None]
    hosts.append(own_standing(Order(own_host(wanted), site, ""), pid, ending=ending))
    return pb.Machine(
        name=wanted.machine,
        profile=wanted.plan.profile,
        generation=wanted.generation,
        hosts=sorted(hosts, key=lambda one: (one.layer, one.host)),
        controls=site.controls,
        pid=pid,
        registry=registry_of(wanted),
        parts=[part_standing(post) for post in posts if post.order.part is not None],
        layers=len(wanted.plan.layers),
        ending=ending,
        absent=wanted.plan.absent,
    )


def host_standing(post: Post) -> pb.HostStanding:
    """One host; its agents are as their host says, or as what became of the host says."""
    planned, sight = post.order.planned, post.sight
    state = state_of(post)
    found = pb.HostStanding(
        host=post.name,
        groups=planned.groups,
        state=state,
        cause=cause_of(post, state),
        pid=post.pid,
        address=post.order.address,
        http_address=post.order.http_address,
        starts=post.starts,
        layer=planned.layer,
        pool=pool_name(planned.pool),
        memory_bytes=sight.memory_bytes if sight else 0,
        agents=_agents(post, state),
    )
    if sight is not None:
        found.cpu.FromNanoseconds(int(sight.cpu_s * 1e9))
    if post.pid and post.started_at is not None:
        found.started_at.FromDatetime(post.started_at)
    return found


def part_standing(post: Post) -> pb.ServiceStanding:
    """A server of others; the first of its ports is the one that people want."""
    state = state_of(post)
    ports = post.order.part.ports if post.order.part else ()
    return pb.ServiceStanding(
        name=post.name,
        state=state,
        cause=cause_of(post, state),
        pid=post.pid,
        address=f"127.0.0.1:{ports[0].port}" if ports else "",
    )


def state_of(post: Post) -> pb.HostState.ValueType:
    if post.is_draining:
        return pb.HOST_STATE_DRAINING
    if post.is_stopped and not post.pid:
        return pb.HOST_STATE_STOPPED
    if post.gave_up:
        return pb.HOST_STATE_FAILED
    if not post.is_filled:
        return pb.HOST_STATE_WAITING
    if not post.pid:
        return pb.HOST_STATE_FAILED if post.cause else pb.HOST_STATE_STARTING
    if post.finding is not None and post.finding.verdict is Verdict.BUSY:
        return pb.HOST_STATE_BUSY
    if post.serves:
        return pb.HOST_STATE_SERVING
    return pb.HOST_STATE_DEGRADED if post.has_served else pb.HOST_STATE_STARTING


def cause_of(post: Post, state: pb.HostState.ValueType) -> str:
    if state == pb.HOST_STATE_SERVING:
        return ""
    if state == pb.HOST_STATE_BUSY and post.finding is not None:
        return post.finding.cause
    if post.cause:
        return post.cause
    if state == pb.HOST_STATE_WAITING:
        if post.held_by:
            return f"it waits for {', '.join(post.held_by)}"
        return "an earlier layer does not serve yet"
    sights = {one.name: post.agent(one.service) for one in post.order.planned.agents}
    lacking = [
        f"{name} does not serve" + (f": {one.cause}" if one.cause else "")
        for name, one in sights.items()
        if one.state != pb.AGENT_STATE_SERVING
    ]
    return lacking[0] if post.sight and lacking else ""


def own_standing(order: Order, pid: int, *, ending: bool) -> pb.HostStanding:
    """The supervisor's own: whoever reads it has asked it."""
    ends = (pb.HOST_STATE_DRAINING, pb.AGENT_STATE_DRAINING)
    serves = (pb.HOST_STATE_SERVING, pb.AGENT_STATE_SERVING)
    host, agent = ends if ending else serves
    planned = order.planned
    return pb.HostStanding(
        host=planned.name,
        groups=planned.groups,
        state=host,
        pid=pid,
        address=order.address,
        http_address=order.http_address,
        starts=1,
        layer=planned.layer,
        pool=pool_name(planned.pool),
        agents=[
            pb.AgentStanding(name=one.name, service=one.service, state=agent, layer=one.layer)
            for one in planned.agents
        ],
    )


def _agents(post: Post, state: pb.HostState.ValueType) -> Iterable[pb.AgentStanding]:
    down = {
        pb.HOST_STATE_STOPPED: (pb.AGENT_STATE_STOPPED, "its host was stopped"),
        pb.HOST_STATE_FAILED: (pb.AGENT_STATE_NOT_SERVING, post.cause),
        pb.HOST_STATE_WAITING: (pb.AGENT_STATE_NOT_SERVING, "its host waits"),
        pb.HOST_STATE_DRAINING: (pb.AGENT_STATE_DRAINING, "its host drains"),
        pb.HOST_STATE_BUSY: (pb.AGENT_STATE_NOT_SERVING, cause_of(post, state)),
    }.get(state)
    for one in post.order.planned.agents:
        sight = post.agent(one.service)
        told, cause = down or (sight.state, sight.cause)
        serves = told == pb.AGENT_STATE_SERVING
        yield pb.AgentStanding(
            name=one.name,
            service=one.service,
            state=told,
            cause="" if serves else cause,
            restarts=sight.restarts,
            layer=one.layer,
            missing_secrets=sight.missing_secrets,
        )
    if down is None and post.sight is not None:
        yield from post.sight.added
