"""A face: paths, and how it tells who asks there that it will not be answered."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from services.gateway.http.denied import Denied

PROBLEM: Final = "application/problem+json"
# By whom, and why: `face.says(request, denied)`.
Says = Callable[[web.BaseRequest, Denied], web.Response]
IsPublic = Callable[[web.Request], Awaitable[bool]]
Elsewhere = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def problem(_request: web.BaseRequest, said: Denied) -> web.Response:
    """As RFC 9457 has it, with what a gRPC caller would be told besides."""
    return web.Response(
        status=said.http_status,
        body=json.dumps(problem_value(said)).encode(),
        content_type=PROBLEM,
        headers=denied_headers(said),
    )


def problem_value(said: Denied) -> dict[str, object]:
    """The same as a value, for where a problem stands in something else."""
    status = said.http_status
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = said.code
    value: dict[str, object] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": said.message,
        "code": said.code,
        "reason": said.reason,
        "domain": said.domain,
    }
    if said.metadata:
        value["metadata"] = dict(said.metadata)
    if said.violations:
        items = said.violations.items()
        value["violations"] = [{"field": one, "description": text} for one, text in items]
    if said.retry_after:
        value["retryAfter"] = said.retry_after
    return value


def denied_headers(said: Denied) -> dict[str, str]:
    """What stands beside the body, whatever its form is."""
    headers = dict(said.headers)
    if said.retry_after_s is not None:
        # Whole seconds, and no caller is asked to come too soon.
        headers["Retry-After"] = str(max(1, -int(-said.retry_after_s // 1)))
    if said.http_status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


@dataclass(frozen=True)
class Face:
    """Everything at or below `path`. `routes` are asked in their order; `open_paths` are answered
    without a token, so they tell no secret. Handlers may raise Denied. `elsewhere` answers paths
    that no face has a route for, or None. `is_public` is asked of who shows no token, whether it
    needs one.
    """

    path: str
    summary: str
    routes: tuple[web.RouteDef, ...]
    says: Says = problem
    open_paths: frozenset[str] = frozenset()
    elsewhere: Elsewhere | None = None
    is_public: IsPublic | None = None

    def has(self, path: str) -> bool:
        return path.startswith(self.path) and (
            self.path.endswith("/") or path[len(self.path) :][:1] in {"", "/"}
        )
