"""How the hosts of a machine are, over the HTTP port of its supervisor: also those that cannot say
so themselves, and none of them is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus

from tandem.control.v1 import machine_pb2 as pb
from tandemkit.hosting.http_port import Answer
from tandemkit.machine.post import Post
from tandemkit.machine.standing import host_standing

HOSTS_PAGE = "/health/hosts"


class HostsFace:
    """`/health/hosts` and `/health/hosts/HOST`, by the host's name in the plan."""

    def __init__(self, posts: Callable[[], Iterable[Post]]) -> None:
        self._posts = posts

    def page(self, path: str, _accept: str) -> Answer:
        """200 for those that serve, 503 for others, 404 for who is not in the plan."""
        name = path.removeprefix(HOSTS_PAGE).strip("/")
        posts = {post.name: post for post in self._posts()}
        if not name:
            found = [_told(host_standing(post)) for post in posts.values()]
            serves = all(one["status"] == _SERVING for one in found)
            return _answer({"hosts": found}, serves=serves)
        if name not in posts:
            body = {"error": "the plan has no such host", "hosts": sorted(posts)}
            return Answer(HTTPStatus.NOT_FOUND, json.dumps(body) + "\n", "application/json")
        told = _told(host_standing(posts[name]))
        return _answer(told, serves=told["status"] == _SERVING)


_SERVING = "SERVING"


def _told(standing: pb.HostStanding) -> dict[str, object]:
    return {
        "host": standing.host,
        "status": pb.HostState.Name(standing.state).removeprefix("HOST_STATE_"),
        "cause": standing.cause or None,
        "pid": standing.pid or None,
        "starts": standing.starts,
        "memory_bytes": standing.memory_bytes or None,
        "http": standing.http_address,
        "agents": [
            {
                "name": one.name,
                "service": one.service,
                "status": pb.AgentState.Name(one.state).removeprefix("AGENT_STATE_"),
                "cause": one.cause or None,
            }
            for one in standing.agents
        ],
    }


def _answer(body: object, *, serves: bool) -> Answer:
    status = HTTPStatus.OK if serves else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, json.dumps(body) + "\n", "application/json")
