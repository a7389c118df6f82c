"""A real Vault in development mode, driven as the fake is. None can be installed by us: its module
does not build and its maker serves no packages to a registry of ours, so it runs where somebody has
put `vault` on the PATH.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp

from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import fetch, free_ports, short_folder

ROOT = "hvs.root-of-the-test"
_NUMBERS = count()
_READER = 'path "secret/data/{path}" {{ capabilities = ["read"] }}'


def program() -> str | None:
    """None where there is none."""
    return shutil.which("vault", path=Environment.read().path)


class RealVault:
    """See tandemkit.testing.vault.FakeVault: the same methods."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address, self._session = address, session

    async def token(self, ttl_s: int, *, renewable: bool = True, path: str = "") -> str:
        body: dict[str, Any] = {"ttl": f"{ttl_s}s", "renewable": renewable}
        if path:
            name = f"reader-{next(_NUMBERS)}"
            policy = {"policy": _READER.format(path=path)}
            await self._ask("PUT", f"sys/policies/acl/{name}", policy)
            body["policies"] = [name]
        told = await self._ask("POST", "auth/token/create", body)
        return str(told["auth"]["client_token"])

    async def revoke(self, token: str) -> None:
        await self._ask("POST", "auth/token/revoke", {"token": token})

    async def role(self, ttl_s: int) -> tuple[str, str]:
        name = f"role-{next(_NUMBERS)}"
        role = f"auth/approle/role/{name}"
        rules = 'path "secret/*" { capabilities = ["read", "create", "update"] }'
        await self._ask("PUT", f"sys/policies/acl/{name}", {"policy": rules})
        await self._ask("POST", role, {"token_ttl": f"{ttl_s}s", "token_policies": [name]})
        role_id = await self._ask("GET", f"{role}/role-id")
        secret_id = await self._ask("POST", f"{role}/secret-id", {})
        return str(role_id["data"]["role_id"]), str(secret_id["data"]["secret_id"])

    async def write(self, path: str, values: dict[str, Any]) -> None:
        await self._ask("POST", f"secret/data/{path}", {"data": values})

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", f"secret/data/{path}")

    async def enable_roles(self) -> None:
        await self._ask("POST", "sys/auth/approle", {"type": "approle"})

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"X-Vault-Token": ROOT}
        async with self._session.request(
            method, f"/v1/{path}", json=body, headers=headers
        ) as response:
            response.raise_for_status()
            return await response.json() if response.status == 200 else {}


@asynccontextmanager
async def real_vault(binary: str) -> AsyncIterator[RealVault]:
    """Unsealed, in memory."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"

    async def answers() -> None:
        await fetch(f"{address}/v1/sys/health")

    with short_folder() as folder:
        where = (f"-dev-listen-address=127.0.0.1:{port}", f"-dev-root-token-id={ROOT}")
        argv = (binary, "server", "-dev", "-dev-no-store-token", *where)
        async with (
            supervised_process(Command(argv, folder / "log", cwd=folder), ready=answers),
            aiohttp.ClientSession(address) as session,
        ):
            made = RealVault(address, session)
            await made.enable_roles()
            yield made
