"""A registry that tells who is in the fleet, and requests about tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from tandem.control.v1 import registration_pb2 as registration
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.tasks.v1 import assignment_pb2 as nouns
from tandem.tasks.v1 import assignment_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.news import News
from tandemkit.testing.agents import fake_agent

TOOLBOX = "tandem.utility.v1.ToolboxService"


class Registry:
    """Tells all hosts again whenever one comes or goes."""

    def __init__(self, *hosts: registration.Host) -> None:
        self._hosts = {one.name: one for one in hosts}
        self._news = News()

    @property
    def agent(self) -> Agent:
        return fake_agent(registry.DESCRIPTOR, WatchHosts=self._watch)

    def put(self, host: registration.Host) -> None:
        self._hosts[host.name] = host
        self._news.set()

    def lose(self, name: str) -> None:
        del self._hosts[name]
        self._news.set()

    async def _watch(
        self, _request: registry.WatchHostsRequest, _context: Any
    ) -> AsyncIterator[registry.WatchHostsResponse]:
        with self._news.heard() as changed:
            while True:
                changed.clear()
                told = registry.WatchHostsResponse()
                told.snapshot.hosts.extend(self._hosts.values())
                told.snapshot.SetInParent()
                yield told
                await changed.wait()


def host(name: str, machine: str, *services: str, serving: bool = True) -> registration.Host:
    found = registration.Host(name=f"hosts/{name}", machine=machine, group="agents")
    for service in services:
        found.placements.add(service=service, serving=serving)
    return found


def task(task_id: str, *capabilities: str, cost_s: float = 1.0) -> nouns.AssignableTask:
    made = nouns.AssignableTask(id=task_id, capabilities=capabilities)
    made.cost.FromTimedelta(timedelta(seconds=cost_s))
    return made


def worker(name: str, *capabilities: str, **fields: Any) -> nouns.TaskWorker:
    return nouns.TaskWorker(name=name, capabilities=capabilities, **fields)


def ask(
    assignment_id: str,
    tasks: list[nouns.AssignableTask],
    workers: list[nouns.TaskWorker] | None = None,
) -> pb.AssignTasksRequest:
    """Of the fleet's workers unless some are named."""
    return pb.AssignTasksRequest(assignment_id=assignment_id, tasks=tasks, workers=workers or [])
