"""A fake of the part of Vault that the kit uses, after its published HTTP API: KV version 2,
tokens, AppRole, namespaces, seal. tests/contract/secrets holds it to what a real one does.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from aiohttp import web

from tandemkit.core.clock import Clock, SystemClock
from tandemkit.testing.parts import free_ports

ROOT = "hvs.root-of-the-fake"
_CLOCK = SystemClock()
_CAS = "check-and-set parameter did not match the current version"


@dataclass
class _Token:
    ttl_s: int
    renewable: bool
    ends_s: float | None
    # Paths that it may use below `secret/data/`; None for all.
    paths: tuple[str, ...] | None = None


@dataclass
class _Versions:
    """All of one entry; None was deleted."""

    contents: list[dict[str, Any] | None] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)


class FakeVault:
    """What a test does to it is what an operator does to a real one."""

    def __init__(self, port: int, clock: Clock, scheme: str) -> None:
        self.address = f"{scheme}://127.0.0.1:{port}"
        self.is_sealed = False
        # Paths that were asked for, with their methods.
        self.asked: list[str] = []
        self._clock, self._numbers = clock, count(1)
        self._entries: dict[tuple[str, str, str], _Versions] = {}
        self._tokens = {ROOT: _Token(0, False, None)}
        self._roles: dict[tuple[str, str], int] = {}

    async def token(self, ttl_s: int, *, renewable: bool = True, path: str = "") -> str:
        """A new one; with a path it may do no more than read that."""
        made = f"hvs.fake-{next(self._numbers):08}"
        ends_s = self._clock.monotonic_s() + ttl_s
        self._tokens[made] = _Token(ttl_s, renewable, ends_s, (path,) if path else None)
        return made

    async def revoke(self, token: str) -> None:
        del self._tokens[token]

    async def role(self, ttl_s: int) -> tuple[str, str]:
        """Role id and secret id of a new AppRole."""
        pair = f"role-{next(self._numbers):08}", f"secret-id-{next(self._numbers):08}"
        self._roles[pair] = ttl_s
        return pair

    async def write(self, path: str, values: dict[str, Any], namespace: str = "") -> None:
        """A new version of an entry."""
        self._put((namespace, "secret", path), values)

    async def delete(self, path: str) -> None:
        """Its last version, as `vault kv delete` does."""
        self._entries["", "secret", path].contents[-1] = None

    async def seal(self) -> None:
        self.is_sealed = True

    async def unseal(self) -> None:
        self.is_sealed = False

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        self.asked.append(f"{request.method} {request.path}")
        if self.is_sealed:
            return _refusal(503, "Vault is sealed")
        path = request.path.removeprefix("/v1/")
        body = json.loads(await request.read() or b"{}")
        if path.startswith("auth/") and path.endswith("/login"):
            return self._login(path, body)
        shown = request.headers.get("X-Vault-Token", "")
        token = self._tokens.get(shown)
        if token is None or self._is_over(token):
            return _refusal(403, "permission denied")
        if path == "auth/token/lookup-self":
            return web.json_response({"data": self._described(token)})
        if path == "auth/token/renew-self":
            return self._renewed(shown, token)
        namespace = request.headers.get("X-Vault-Namespace", "")
        mount, _, entry = path.partition("/data/")
        if not entry or (token.paths is not None and entry not in token.paths):
            return _refusal(403, "permission denied")
        place = (namespace, mount, entry)
        if request.method == "GET":
            return self._read(place)
        return self._written(place, body) if token.paths is None else _refusal(403, "denied")

    def _login(self, path: str, body: dict[str, Any]) -> web.Response:
        ttl_s = self._roles.get((body.get("role_id", ""), body.get("secret_id", "")))
        if path != "auth/approle/login" or ttl_s is None:
            return _refusal(400, "invalid role or secret ID")
        made = f"hvs.role-{next(self._numbers):08}"
        self._tokens[made] = _Token(ttl_s, True, self._clock.monotonic_s() + ttl_s)
        auth = {"client_token": made, "lease_duration": ttl_s, "renewable": True}
        return web.json_response({"auth": auth})

    def _is_over(self, token: _Token) -> bool:
        return token.ends_s is not None and self._clock.monotonic_s() >= token.ends_s

    def _described(self, token: _Token) -> dict[str, Any]:
        left_s = 0.0 if token.ends_s is None else token.ends_s - self._clock.monotonic_s()
        return {"ttl": int(left_s), "renewable": token.renewable, "policies": ["default"]}

    def _renewed(self, shown: str, token: _Token) -> web.Response:
        if not token.renewable:
            return _refusal(400, "lease is not renewable")
        token.ends_s = self._clock.monotonic_s() + token.ttl_s
        auth = {"client_token": shown, "lease_duration": token.ttl_s, "renewable": True}
        return web.json_response({"auth": auth})

    def _put(self, place: tuple[str, str, str], values: dict[str, Any]) -> int:
        versions = self._entries.setdefault(place, _Versions())
        versions.contents.append(dict(values))
        versions.times.append(self._clock.now())
        return len(versions.contents)

    def _read(self, place: tuple[str, str, str]) -> web.Response:
        versions = self._entries.get(place)
        if versions is None:
            return web.json_response({"errors": []}, status=404)
        found, number = versions.contents[-1], len(versions.contents)
        made = _time(versions.times[-1])
        told = {"created_time": made, "version": number, "destroyed": False}
        told["deletion_time"] = made if found is None else ""
        data = {"data": {"data": found, "metadata": told}}
        return web.json_response(data, status=404 if found is None else 200)

    def _written(self, place: tuple[str, str, str], body: dict[str, Any]) -> web.Response:
        versions = self._entries.get(place)
        number = len(versions.contents) if versions else 0
        wanted = body.get("options", {}).get("cas")
        if wanted is not None and wanted != number:
            return _refusal(400, _CAS)
        return web.json_response({"data": {"version": self._put(place, body["data"])}})


@asynccontextmanager
async def fake_vault(
    clock: Clock = _CLOCK, trust: ssl.SSLContext | None = None
) -> AsyncIterator[FakeVault]:
    """On a port of its own, over TLS where `trust` has its certificate."""
    (port,) = free_ports(1)
    fake = FakeVault(port, clock, "https" if trust else "http")
    app = web.Application()
    app.router.add_route("*", "/v1/{path:.*}", fake.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=trust).start()
        yield fake
    finally:
        await runner.cleanup()


def _time(moment: datetime) -> str:
    """With nine digits behind the point, as Vault writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z"


def _refusal(status: int, said: str) -> web.Response:
    return web.json_response({"errors": [said]}, status=status)
