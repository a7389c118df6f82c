"""Several messages in one request of MCP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.core.caller_key import CallerKey
from tests.unit.services.gateway.http.gateways import ADDRESS, gateway
from tests.unit.services.gateway.http.mcp.asking import answered, request, told


async def test_several_messages_at_once_are_answered_where_the_revision_has_them(
    tmp_path: Path,
) -> None:
    """That is 2025-03-26 alone."""
    both = [request("ping"), {"jsonrpc": "2.0", "method": "notifications/initialized"}]
    async with gateway(tmp_path) as it:
        assert await told(it, both) == [{"jsonrpc": "2.0", "id": both[0]["id"], "result": {}}]
        assert (await answered(it, both, mcp_protocol_version="2025-11-25"))[0] == 400


async def test_each_of_several_messages_counts(tmp_path: Path) -> None:
    """Else a caller with a key would ask fifty times as often as it may."""
    rate = cfg.HttpRate(per_second=0.01, at_once=4)
    settings = cfg.HttpSettings(address=ADDRESS, key_rate=rate)
    async with gateway(tmp_path, settings=settings) as it:
        key = {"authorization": f"Bearer {CallerKey('ada', 1, 32_503_680_000).signed(it.token)}"}

        async def sent(times: int) -> tuple[int, Any]:
            return await answered(it, [request("ping") for _ in range(times)], **key)

        status, refused = await sent(5)
        assert (status, refused["error"]["data"]["metadata"]["at_once"]) == (429, "4")
        assert "retryAfter" not in refused["error"]["data"]
        assert (await sent(2))[0] == 200
        status, refused = await sent(2)
        assert (status, refused["error"]["data"]["reason"]) == (429, "RATE_EXCEEDED")
        assert refused["error"]["data"]["retryAfter"].endswith("s")
