"""Requests to a Vault, each with a time limit and sent once: the next look is the retry.

Plain aiohttp instead of hvac, which blocks the loop that calls it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from tandem.fleet.v1.secret_pb2 import Vault
from tandemkit.core.redaction import redacted
from tandemkit.core.secret import Secret
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.server import TlsFiles

WITHIN_S = 3.0
# Of a page that is no answer of a Vault.
_SAID_CHARS_MAX = 200
_MAY_PASS = frozenset({HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600), 412, 472, 473})


class Denied(Refused):
    """The token is none, no more, or not allowed to do that."""


class Overtaken(Refused):
    """Somebody else wrote the entry meanwhile; nothing was done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Vault said; not there counts as an answer, and says what was there."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_there(self) -> bool:
        return self.status != HTTPStatus.NOT_FOUND

    def part(self, name: str) -> Mapping[str, Any]:
        """An object of the answer; empty where it has none of that name."""
        found = self.body.get(name)
        return found if isinstance(found, dict) else {}


class VaultHttp:
    """The one connection pool to a Vault. `unusable` is why there is none."""

    def __init__(
        self, session: aiohttp.ClientSession, address: str, unusable: Refused | None
    ) -> None:
        self._session, self.address, self._unusable = session, address, unusable

    async def ask(
        self, method: str, path: str, token: Secret | None = None, body: object = None
    ) -> Answer:
        """Raises Unreachable, Denied, Overtaken, Refused; none of them shows the token."""
        if self._unusable is not None:
            raise self._unusable
        headers = {"X-Vault-Token": token.reveal()} if token else {}
        try:
            async with (
                asyncio.timeout(WITHIN_S),
                self._session.request(
                    method, f"/v1/{path}", json=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                status, content = response.status, await response.read()
        except aiohttp.ClientSSLError as error:
            raise Refused("no trust between us and vault", address=self.address) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable("vault gives no answer", address=self.address) from error
        return _understood(path, status, _parsed(content))


@asynccontextmanager
async def connected(vault: Vault) -> AsyncIterator[VaultHttp]:
    """Where the authority's certificates cannot be read, each request says so."""
    headers = {"X-Vault-Request": "true"}
    if vault.namespace:
        headers["X-Vault-Namespace"] = vault.namespace
    files = TlsFiles(Path(vault.ca_file) if vault.ca_file else None)
    trust, unusable = None, None
    try:
        trust = await asyncio.to_thread(files.context)
    except OSError as error:
        why = error.strerror or "no certificates in it"
        message = "the certificates of vault's authority cannot be read"
        unusable = Refused(message, file=vault.ca_file, why=why)
    async with aiohttp.ClientSession(
        vault.address, connector=aiohttp.TCPConnector(ssl=trust or True), headers=headers
    ) as session:
        yield VaultHttp(session, vault.address, unusable)


def _parsed(content: bytes) -> Mapping[str, Any]:
    if not content:
        return {}
    try:
        found = json.loads(content)
    except ValueError:
        found = {"errors": [content.decode(errors="replace")[:_SAID_CHARS_MAX]]}
    return found if isinstance(found, dict) else {}


def _understood(path: str, status: int, body: Mapping[str, Any]) -> Answer:
    if status in {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
        return Answer(status, body)
    listed = body.get("errors")
    said = redacted("; ".join(map(str, listed))) if isinstance(listed, list) else ""
    metadata = {"path": path, "status": status, "said": said}
    if status in _MAY_PASS:
        raise Unreachable("vault cannot answer now; it may be sealed", **metadata)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Denied("vault denies the token", **metadata)
    if status == HTTPStatus.BAD_REQUEST and "check-and-set" in said:
        raise Overtaken("somebody else wrote to vault meanwhile", **metadata)
    raise Refused("vault refuses the request", **metadata)
