"""What a command is for: hosts as a whole, or single agents of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tandemkit.core.errors import Failure
from tandemkit.machine.post import Post

_NEAR_MAX = 3


class TargetUnknown(Failure):
    """The machine has nothing of that name."""


class GroupSharesHost(Failure):
    """The group is served by a process that serves others too."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Hosts as a whole, or instances, each with its host."""

    hosts: tuple[Post, ...] = ()
    agents: tuple[tuple[Post, str], ...] = ()

    @property
    def instances(self) -> list[str]:
        """Of the hosts, or the ones that are meant alone."""
        of_hosts = (one.name for host in self.hosts for one in host.order.planned.agents)
        return [*of_hosts, *(name for _, name in self.agents)]


def aimed(target: str, posts: Sequence[Post], machine: str) -> Aim:
    """Raises TargetUnknown, GroupSharesHost."""
    agents = tuple(
        (post, agent.name)
        for post in posts
        for agent in post.order.planned.agents
        if target in {agent.name, agent.service}
    )
    if agents:
        return Aim(agents=agents)
    name = target.removeprefix("hosts/").removeprefix(f"{machine}-")
    hosts = tuple(post for post in posts if name == post.name)
    if hosts:
        return Aim(hosts)
    grouped = tuple(post for post in posts if target in post.order.planned.groups)
    if not grouped:
        near = ", ".join(difflib.get_close_matches(target, _names(posts), n=_NEAR_MAX))
        meant = f"did you mean {near}?" if near else "./tandem status has the names"
        message = f"the machine has no agent, host or group of that name; {meant}"
        raise TargetUnknown(message, name=target, near=near)
    for post in grouped:
        if len(post.order.planned.groups) > 1:
            others = ", ".join(one for one in post.order.planned.groups if one != target)
            message = "the group shares its host with others; ask for agents of it, or for the host"
            raise GroupSharesHost(message, group=target, host=post.name, others=others)
    return Aim(grouped)


def _names(posts: Iterable[Post]) -> list[str]:
    return sorted(
        name
        for post in posts
        for planned in [post.order.planned]
        for name in {planned.name, *planned.groups, *(one.name for one in planned.agents)}
    )
