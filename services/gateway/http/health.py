"""Whether the gateway answers, for probes: `GET /health`, without a token."""

from __future__ import annotations

import json
from typing import Final

from aiohttp import web

from services.gateway.http.face import Face

PATH: Final = "/health"
_BODY: Final = json.dumps({"status": "SERVING"}).encode()


def face() -> Face:
    return Face(PATH, "Whether the gateway answers.", (web.get(PATH, _answer),), open_paths=_OPEN)


_OPEN: Final = frozenset({PATH})


async def _answer(_request: web.Request) -> web.Response:
    return web.Response(body=_BODY, content_type="application/json")
