"""What a host says of itself over HTTP: `/health` for probes and people, `/metrics` for
Prometheus.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from tandemkit.core.clock import Clock
from tandemkit.core.token import HEADER, Token
from tandemkit.hosting.http_port import Answer, Paths, Request, below, said
from tandemkit.hosting.standing import Condition, Standing
from tandemkit.rpc.health import Health
from tandemkit.rpc.tally import Tally
from tandemkit.rpc.turns import Turns
from tandemkit.supervise.workers import Account
from tandemkit.telemetry import calls, flow, process
from tandemkit.telemetry.exposition import (
    COUNTER,
    GAUGE,
    Family,
    Sample,
    media_type,
    merged,
    text_of,
)

_JSON = "application/json"
_WORKERS: tuple[tuple[str, str, Callable[[Account], float]], ...] = (
    ("runs", "Functions that the agent's own processes ran to their end.", lambda one: one.runs),
    ("lost", "Processes of the agent that ended before their work.", lambda one: one.lost),
    ("cpu_seconds", "CPU time of what the agent's own processes ran.", lambda one: one.cpu_s),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: the host's name in its fleet, if it has one, the version that traffic is weighed
    by, and the limits of the process, in words.
    """

    host: str
    machine: str
    version: str
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to tell; all of it changes while the host runs."""

    health: Health
    standings: Mapping[str, Standing]
    tallies: Sequence[Tally]
    turns: Turns
    # Of agents.
    paths: Paths = field(default_factory=Paths)


class Face:
    """The pages. Everything is looked up when it is asked for, on the loop that serves calls: a
    host whose loop is held answers from elsewhere: `busy`.
    """

    def __init__(
        self, known: Known, identity: Identity, clock: Clock, token: Token | None = None
    ) -> None:
        """With a token whoever sends something shows it; nobody needs one to look."""
        self._known, self._identity, self._clock, self._token = known, identity, clock, token
        self._started_s = clock.monotonic_s()

    def page(self, path: str, accept: str) -> Answer:
        """The answer to a GET."""
        if path == "/metrics":
            media = media_type(accept)
            return Answer(HTTPStatus.OK, text_of(self._families(), media), media)
        if path in {"/health", "/health/"}:
            return self._health()
        if pages := below(path, self._known.paths.pages):
            return pages(path, accept)
        standing = self._known.standings.get(path.removeprefix("/health/"))
        if standing is not None and path.startswith("/health/"):
            agent = self._agent(standing)
            return _json(agent, serves=agent["status"] == Condition.SERVING)
        paths = ["/health", *(f"/health/{name}" for name in self._known.standings), "/metrics"]
        paths += self._known.paths.pages
        body = json.dumps({"error": "there is no such page", "pages": paths})
        return Answer(HTTPStatus.NOT_FOUND, body + "\n", _JSON)

    def post(self, request: Request, body: bytes) -> Answer:
        """The answer to what somebody sent."""
        posts = below(request.path, self._known.paths.posts)
        if posts is None:
            return said(HTTPStatus.METHOD_NOT_ALLOWED)
        if self._token and not self._token.opens(request.headers.get(HEADER, "")):
            return said(HTTPStatus.UNAUTHORIZED)
        return posts(request, body)

    def _health(self) -> Answer:
        agents = [self._agent(one) for one in self._known.standings.values()]
        usage = process.Usage.now()
        planned = [one for one in agents if not self._known.standings[str(one["name"])].added]
        serves = all(one["status"] == Condition.SERVING for one in planned)
        status = Condition.SERVING if serves else Condition.NOT_SERVING
        told = {
            "status": Condition.DRAINING if self._known.health.draining else status,
            "agents": agents,
            "version": self._identity.version,
            "uptime_s": round(self._clock.monotonic_s() - self._started_s, 3),
            "memory_bytes": usage.memory_bytes,
            "cpu_s": round(usage.cpu_s, 3),
            "host": self._identity.host,
            "machine": self._identity.machine,
            "limits": self._identity.limits,
        }
        return _json(told, serves=serves)

    def _agent(self, standing: Standing) -> dict[str, object]:
        status, cause = standing.condition(self._known.health)
        own = [one for one in self._known.tallies if one.service == standing.service]
        return {
            "name": standing.name,
            "service": standing.service,
            "status": status,
            "cause": cause,
            "calls": sum(one.started for one in own),
            "calls_s": round(sum(each.sum_s for one in own for each in one.ended.values()), 6),
            "workers_cpu_s": round(sum(one.cpu_s for one in standing.accounts), 3),
        }

    def _families(self) -> Iterator[Family]:
        yield from calls.families(self._known.tallies)
        yield from flow.families(self._known.turns)
        yield from flow.channels()
        yield from self._agents()
        yield from merged(self._measured())
        yield from process.families(process.Usage.now())

    def _agents(self) -> Iterator[Family]:
        health, standings = self._known.health, self._known.standings.values()
        labelled = [(one, {"agent": one.name, "service": one.service}) for one in standings]
        ups = [Sample(int(health.serving(one.key)), labels) for one, labels in labelled]
        yield Family("tandem_agent_up", GAUGE, "1 where the agent serves, else 0.", ups)
        restarts = [Sample(one.restarts, labels) for one, labels in labelled]
        meaning = "How often the agent was built again."
        yield Family("tandem_agent_restarts", COUNTER, meaning, restarts)
        for name, meaning, figure in _WORKERS:
            done = [
                Sample(sum(figure(each) for each in one.accounts), labels)
                for one, labels in labelled
                if one.accounts
            ]
            yield Family(f"tandem_agent_worker_{name}", COUNTER, meaning, done)

    def _measured(self) -> Iterator[Family]:
        for standing in self._known.standings.values():
            for measure in standing.measures:
                for family in measure():
                    labels = {"agent": standing.name}
                    samples = [
                        replace(one, labels={**labels, **one.labels}) for one in family.samples
                    ]
                    yield replace(family, samples=samples)


def _json(value: Mapping[str, object], *, serves: bool) -> Answer:
    status = HTTPStatus.OK if serves else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, json.dumps(value) + "\n", _JSON)
