"""How we are known to a Vault: by a token that somebody gave us, or by an AppRole's."""

from __future__ import annotations

from tandem.fleet.v1.secret_pb2 import Vault
from tandemkit.core.clock import Clock
from tandemkit.core.secret import Secret, require_secret
from tandemkit.reach.failure import Refused
from tandemkit.secrecy.chain import Provider
from tandemkit.secrecy.vault_http import Denied, VaultHttp

# Secrets that it takes to log in.
BY_TOKEN = ("vault_token",)
BY_ROLE = ("vault_role_id", "vault_secret_id")
_APPROLE = "approle"
# Of a token's life, when it is renewed or got anew.
_SHARE = 0.5


class Login:
    """What it takes stands with other providers, `credentials`: it may change there at any time."""

    def __init__(self, http: VaultHttp, vault: Vault, credentials: Provider, clock: Clock) -> None:
        self._http, self._vault, self._credentials = http, vault, credentials
        self._clock = clock
        self._given: list[Secret] = []
        self._token: Secret | None = None
        self._renewable = False
        self._due_s: float | None = None

    async def token(self) -> Secret:
        """One that Vault should take. Raises Unreachable, Refused."""
        given = await self._found()
        if self._token is None or given != self._given:
            await self._begin(given)
        elif self._due_s is not None and self._clock.monotonic_s() >= self._due_s:
            await self._go_on(given)
        assert self._token is not None
        return self._token

    def forget(self) -> None:
        """Vault did not take it: the next one is another."""
        self._token = None

    async def _found(self) -> list[Secret]:
        names = BY_ROLE if self._vault.HasField("app_role") else BY_TOKEN
        search = await self._credentials.find(names)
        known = {name: one.secret for name, one in search.found.items()}
        try:
            return [require_secret(known, name) for name in names]
        except ValueError as error:
            raise Refused("nobody gave us what vault asks for", missing=str(error)) from error

    async def _begin(self, given: list[Secret]) -> None:
        if self._vault.HasField("app_role"):
            mount = self._vault.app_role.mount or _APPROLE
            body = {"role_id": given[0].reveal(), "secret_id": given[1].reveal()}
            answer = await self._http.ask("POST", f"auth/{mount}/login", body=body)
            auth = answer.part("auth")
            if not auth.get("client_token"):
                raise Refused("vault has no such login", mount=mount)
            self._take(Secret(str(auth["client_token"])), auth.get("lease_duration"))
            self._renewable = False
        else:
            answer = await self._http.ask("GET", "auth/token/lookup-self", given[0])
            told = answer.part("data")
            self._take(given[0], told.get("ttl"))
            self._renewable = bool(told.get("renewable"))
        self._given = given

    async def _go_on(self, given: list[Secret]) -> None:
        """A role logs in anew; a token is renewed where that is possible, and ends where not."""
        if not self._renewable:
            await self._begin(given)
            return
        try:
            answer = await self._http.ask("POST", "auth/token/renew-self", self._token, {})
        except Denied:
            # Its policy lets it read and not renew itself.
            self._due_s = None
            return
        self._take(given[0], answer.part("auth").get("lease_duration"))

    def _take(self, token: Secret, lives_s: object) -> None:
        """One without an end says 0."""
        self._token, self._due_s = token, None
        if isinstance(lives_s, int) and lives_s > 0:
            self._due_s = self._clock.monotonic_s() + lives_s * _SHARE
