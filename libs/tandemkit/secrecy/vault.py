"""Secrets in a Vault: keys of entries of a KV store of version 2, over its HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tandem.fleet.v1.secret_pb2 import Vault
from tandemkit.core.clock import Clock
from tandemkit.core.secret import Secret
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.secrecy import vault_http
from tandemkit.secrecy.chain import Found, Provider, Search, Trouble
from tandemkit.secrecy.vault_http import Answer, Denied, Overtaken, VaultHttp
from tandemkit.secrecy.vault_login import Login

REFRESH_S, RETRY_S = 30.0, 5.0
_MOUNT = "secret"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class _Entry:
    """What stands under one path; version 0 where nothing does."""

    path: str
    version: int
    since: datetime
    values: Mapping[str, Any]


class VaultProvider:
    """Asks as often as the profile says, and tells what it heard last in between, and while Vault
    cannot be asked.
    """

    def __init__(self, http: VaultHttp, vault: Vault, login: Login, clock: Clock) -> None:
        self._http, self._vault, self.login, self._clock = http, vault, login, clock
        self._mount = vault.mount or _MOUNT
        refresh_s = vault.refresh.ToTimedelta().total_seconds()
        self._refresh_s = refresh_s or REFRESH_S
        self._entries: list[_Entry] = []
        self._due_s = 0.0
        # Why it could not be asked the last time.
        self._failure: Unreachable | Refused | None = None

    @property
    def name(self) -> str:
        return f"vault {self._vault.address}"

    def hurry(self) -> None:
        self._due_s = 0.0

    async def find(self, names: Collection[str]) -> Search:
        if self._clock.monotonic_s() >= self._due_s:
            await self._refresh()
        if self._failure is not None:
            if not self._entries:
                raise self._failure
            search = Search(troubles=[Trouble(self.name, str(self._failure))])
        else:
            search = Search()
        for entry in reversed(self._entries):
            for name in names:
                value = entry.values.get(name)
                if isinstance(value, str) and value:
                    where = f"{self.name} {self._mount}/{entry.path}"
                    found = Found(Secret(value), where, str(entry.version), entry.since)
                    search.found[name] = found
                elif value is not None:
                    said = f"`{name}` in {entry.path} is no text"
                    search.troubles.append(Trouble(self.name, said))
        return search

    async def _refresh(self) -> None:
        """What it told before holds where it tells nothing now; it is asked again soon."""
        wait_s = self._refresh_s
        try:
            self._entries = [await self._read(path) for path in self._vault.paths]
            self._failure = None
        except (Unreachable, Refused) as error:
            self._failure = error
            wait_s = min(wait_s, RETRY_S)
        self._due_s = self._clock.monotonic_s() + wait_s

    async def write(self, name: str, value: str) -> str:
        """Makes it the value of that key, where the key stands or in the last entry, and leaves the
        others as they are. Returns `mount/path` and the version. Raises Unreachable, Refused.
        """
        self.hurry()
        for _ in range(_TRIES):
            with suppress(Overtaken):
                return await self._written(name, value)
        raise Refused("others write to vault all the time", address=self._vault.address)

    async def _written(self, name: str, value: str) -> str:
        entries = [await self._read(path) for path in self._vault.paths]
        entry = next((one for one in entries if name in one.values), entries[-1])
        body = {"options": {"cas": entry.version}, "data": {**entry.values, name: value}}
        answer = await self._asked("POST", entry.path, body)
        return f"{self._mount}/{entry.path}, version {answer.part('data').get('version')}"

    async def _read(self, path: str) -> _Entry:
        answer = await self._asked("GET", path)
        # A version that was deleted is not there, and yet the next one counts from it.
        data = answer.part("data")
        values, told = data.get("data"), data.get("metadata")
        told = told if isinstance(told, dict) else {}
        version = int(told.get("version") or 0)
        found = values if answer.is_there and isinstance(values, dict) else {}
        return _Entry(path, version, _time(told.get("created_time")), found)

    async def _asked(self, method: str, path: str, body: object = None) -> Answer:
        whole = f"{self._mount}/data/{path}"
        try:
            return await self._http.ask(method, whole, await self.login.token(), body)
        except Denied:
            # A token may have been revoked; what is refused to a new one is refused.
            self.login.forget()
            return await self._http.ask(method, whole, await self.login.token(), body)


@asynccontextmanager
async def opened(vault: Vault, credentials: Provider, clock: Clock) -> AsyncIterator[VaultProvider]:
    """`credentials` have what it takes to log in."""
    async with vault_http.connected(vault) as http:
        yield VaultProvider(http, vault, Login(http, vault, credentials, clock), clock)


def _time(text: object) -> datetime:
    """Nine digits behind the point are more than Python reads."""
    if not isinstance(text, str) or not text:
        return datetime.fromtimestamp(0, UTC)
    whole = text.removesuffix("Z").partition(".")[0]
    try:
        return datetime.fromisoformat(whole).replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
