"""What one request of OpenAI's API makes several calls of counts as so many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.caller_key import CallerKey
from tests.unit.services.gateway.http.gateways import ADDRESS, gateway
from tests.unit.services.gateway.http.openai.scripted import Scripted


@pytest.mark.parametrize(
    ("path", "fitting", "more"),
    [
        ("completions", {"prompt": ["a"] * 4}, {"prompt": ["a"] * 5}),
        ("embeddings", {"input": ["a"] * 1024}, {"input": ["a"] * 1025}),
    ],
)
async def test_each_call_counts(
    tmp_path: Path, path: str, fitting: dict[str, Any], more: dict[str, Any]
) -> None:
    """What is more than the caller may ask at once is refused before any of it is asked."""
    rate = cfg.HttpRate(per_second=0.01, at_once=4)
    settings = cfg.HttpSettings(address=ADDRESS, key_rate=rate)
    scripted = Scripted()
    async with gateway(tmp_path, *scripted.agents, settings=settings) as it:

        async def asked(name: str, value: dict[str, Any]) -> tuple[int, Any]:
            key = CallerKey(name, 1, 32_503_680_000).signed(it.token)
            shown = {"authorization": f"Bearer {key}"}
            return await it.post(f"/v1/{path}", {"model": "a", **value}, headers=shown)

        status, told = await asked("ada", more)
        assert (status, told["error"]["metadata"]["at_once"]) == (429, "4")
        assert scripted.asked == []
        assert (await asked("bob", fitting))[0] == 200
        status, told = await asked("bob", {name: one[:1] for name, one in fitting.items()})
        assert (status, told["error"]["reason"]) == (429, "RATE_EXCEEDED")
