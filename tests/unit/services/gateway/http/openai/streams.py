"""Streams of events, as a client reads them."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.services.gateway.http.gateways import Gateway


async def events_of(it: Gateway, path: str, **body: object) -> tuple[list[Any], dict[str, str]]:
    """The events of a stream, the last as it is, and the headers before them."""
    async with it.client.post(f"{it.url}{path}", json={**body, "stream": True}) as told:
        lines = (await told.text()).split("\n\n")
        headers = dict(told.headers)
    assert lines[-1] == ""
    events = [one.removeprefix("data: ") for one in lines[:-1]]
    return [one if one == "[DONE]" else json.loads(one) for one in events], headers
