"""What the kit asks of a Vault: the same of the fake and, where there is one, of a real one."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tandem.fleet.v1.secret_pb2 import Vault, VaultAppRole, VaultToken
from tandemkit.core import redaction
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.secrecy import vault
from tandemkit.secrecy.chain import Held
from tandemkit.secrecy.vault import VaultProvider
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts_consul import consul_identities
from tandemkit.testing.vault import FakeVault, fake_vault
from tests.contract.secrets.real_vault import RealVault, program, real_vault

Server = FakeVault | RealVault
# A real one cannot be installed by us, so its absence is no skip that somebody could mend.
_CLOCK = SystemClock()
KINDS = ("fake", "real") if program() else ("fake",)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


@pytest.fixture(params=KINDS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    found = program()
    if request.param == "fake" or found is None:
        async with fake_vault() as fake:
            yield fake
    else:
        async with real_vault(found) as real:
            yield real


@asynccontextmanager
async def asking(
    server: Server,
    known: Mapping[str, str],
    clock: Clock = _CLOCK,
    *,
    paths: tuple[str, ...] = ("tandem",),
    trusted: str = "",
) -> AsyncIterator[VaultProvider]:
    """One that looks each time."""
    wanted = Vault(address=server.address, paths=paths, ca_file=trusted)
    wanted.refresh.FromSeconds(1)
    if "vault_role_id" in known:
        wanted.app_role.CopyFrom(VaultAppRole())
    else:
        wanted.token.CopyFrom(VaultToken())
    held = Held(known, _CLOCK.now())
    async with vault.opened(wanted, held, clock) as provider:
        yield provider


async def values(provider: VaultProvider, *names: str) -> dict[str, tuple[str, str]]:
    provider.hurry()
    search = await provider.find(names)
    return {name: (one.secret.reveal(), one.version) for name, one in search.found.items()}


async def test_m118_a_key_that_is_rotated_is_read_anew(server: Server) -> None:
    """With the version and the time that Vault gave it; a key that is not there is not found."""
    await server.write("tandem", {"api_key": "value-1", "other": "value-o"})
    async with asking(server, {"vault_token": await server.token(600)}) as provider:
        assert await values(provider, "api_key", "none") == {"api_key": ("value-1", "1")}
        await server.write("tandem", {"api_key": "value-2"})
        assert await values(provider, "api_key", "other") == {"api_key": ("value-2", "2")}
        provider.hurry()
        found = (await provider.find(["api_key"])).found["api_key"]
        assert abs((_CLOCK.now() - found.since).total_seconds()) < 60
        assert found.provider == f"vault {server.address} secret/tandem"


async def test_the_first_path_that_has_a_key_counts(server: Server) -> None:
    """So a machine's own goes before what all have; an entry that nobody wrote has none."""
    await server.write("tandem/all", {"a": "all-a", "b": "all-b"})
    await server.write("tandem/pc2", {"a": "pc2-a"})
    paths = ("tandem/none", "tandem/pc2", "tandem/all")
    async with asking(server, {"vault_token": await server.token(600)}, paths=paths) as provider:
        found = await values(provider, "a", "b")
        assert {name: value for name, (value, _) in found.items()} == {"a": "pc2-a", "b": "all-b"}


async def test_a_deleted_version_is_not_there_and_is_counted(server: Server) -> None:
    """What is written behind it is the next one."""
    await server.write("tandem", {"api_key": "value-1"})
    await server.delete("tandem")
    async with asking(server, {"vault_token": await server.token(600)}) as provider:
        assert await values(provider, "api_key") == {}
        assert await provider.write("api_key", "value-2") == "secret/tandem, version 2"
        assert await values(provider, "api_key") == {"api_key": ("value-2", "2")}


async def test_a_value_is_written_where_its_key_stands(server: Server) -> None:
    """And its neighbours stay; a new key goes into the last entry."""
    await server.write("one", {"api_key": "value-1", "other": "value-o"})
    token = await server.token(600)
    async with asking(server, {"vault_token": token}, paths=("one", "two")) as provider:
        assert await provider.write("api_key", "value-2") == "secret/one, version 2"
        assert await provider.write("fresh", "value-f") == "secret/two, version 1"
        assert await values(provider, "api_key", "other", "fresh") == {
            "api_key": ("value-2", "2"),
            "other": ("value-o", "2"),
            "fresh": ("value-f", "1"),
        }


async def test_what_is_no_text_is_told_and_not_guessed(server: Server) -> None:
    """A number that lost its zeros is no key."""
    await server.write("tandem", {"pin": 12345678, "nested": {"a": "b"}})
    async with asking(server, {"vault_token": await server.token(600)}) as provider:
        search = await provider.find(["pin", "nested"])
        assert search.found == {}
        assert len(search.troubles) == 2
        assert "12345678" not in str(search.troubles)


async def test_a_role_logs_in_and_again_when_its_token_is_revoked(server: Server) -> None:
    """Nobody has to see to that."""
    await server.write("tandem", {"api_key": "value-1"})
    role_id, secret_id = await server.role(600)
    known = {"vault_role_id": role_id, "vault_secret_id": secret_id}
    async with asking(server, known) as provider:
        assert await values(provider, "api_key") == {"api_key": ("value-1", "1")}
        assert await provider.write("api_key", "value-2") == "secret/tandem, version 2"
        await server.revoke((await provider.login.token()).reveal())
        assert await values(provider, "api_key") == {"api_key": ("value-2", "2")}


async def test_who_is_not_let_in_is_told_by_vaults_word(server: Server) -> None:
    """A wrong token, one that was revoked, a wrong role, and none at all; no message shows it."""
    revoked = await server.token(600)
    await server.revoke(revoked)
    attempts: list[dict[str, str]] = [
        {"vault_token": "hvs.wrong-0000"},
        {"vault_token": revoked},
        {"vault_role_id": "wrong-role-id", "vault_secret_id": "wrong-secret-id"},
        {},
    ]
    for known in attempts:
        async with asking(server, known) as provider:
            with pytest.raises(Refused) as told:
                await provider.find(["api_key"])
            assert not any(value in str(told.value) for value in known.values())


async def test_a_reader_reads_and_writes_nothing(server: Server) -> None:
    """The least that a machine needs is one path to read."""
    await server.write("tandem", {"api_key": "value-1"})
    token = await server.token(600, path="tandem")
    async with asking(server, {"vault_token": token}) as provider:
        assert await values(provider, "api_key") == {"api_key": ("value-1", "1")}
        with pytest.raises(Refused, match="denies"):
            await provider.write("api_key", "value-2")
    async with asking(server, {"vault_token": token}, paths=("other",)) as provider:
        with pytest.raises(Refused, match="denies"):
            await provider.find(["api_key"])


async def test_a_vault_that_is_not_there_is_unreachable() -> None:
    """Which is another thing than a refusal: it may be back."""
    async with fake_vault() as gone:
        address = gone.address
    gone.address = address
    async with asking(gone, {"vault_token": "hvs.any-token-0"}) as provider:
        with pytest.raises(Unreachable, match="no answer"):
            await provider.find(["api_key"])


async def test_a_sealed_vault_is_unreachable_until_it_is_not() -> None:
    """Nothing has to be started again."""
    async with fake_vault() as server:
        await server.write("tandem", {"api_key": "value-1"})
        async with asking(server, {"vault_token": await server.token(600)}) as provider:
            await server.seal()
            with pytest.raises(Unreachable, match="sealed"):
                await provider.find(["api_key"])
            await server.unseal()
            assert await values(provider, "api_key") == {"api_key": ("value-1", "1")}


async def test_what_a_vault_told_holds_while_it_is_away() -> None:
    """With a word on why; and it is not asked at each look."""
    clock = FakeClock()
    async with fake_vault(clock) as server:
        await server.write("tandem", {"api_key": "value-1"})
        known = {"vault_token": await server.token(600)}
        async with asking(server, known, clock) as provider:
            await provider.find(["api_key"])
            await server.seal()
            asked = len(server.asked)
            for _ in range(3):
                await clock.advance(0.4)
                search = await provider.find(["api_key"])
                assert search.found["api_key"].secret.reveal() == "value-1"
            (trouble,) = (await provider.find(["api_key"])).troubles
            assert "sealed" in trouble.said
            assert len(server.asked) == asked + 1


async def test_a_token_is_renewed_before_it_ends() -> None:
    """At half of its life, over and over; one that cannot be renewed ends, and is told."""
    clock = FakeClock()
    async with fake_vault(clock) as server:
        await server.write("tandem", {"api_key": "value-1"})
        lasting, ending = await server.token(100), await server.token(100, renewable=False)
        async with asking(server, {"vault_token": lasting}, clock) as provider:
            for _ in range(10):
                assert await values(provider, "api_key") == {"api_key": ("value-1", "1")}
                await clock.advance(60)
        async with asking(server, {"vault_token": ending}, clock) as provider:
            with pytest.raises(Refused, match="denies"):
                await provider.find(["api_key"])


async def test_within_the_refresh_vault_is_not_asked_again() -> None:
    """A fleet's looks are many, and a Vault is one."""
    clock = FakeClock()
    async with fake_vault(clock) as server:
        await server.write("tandem", {"api_key": "value-1"})
        token = await server.token(600)
        async with asking(server, {"vault_token": token}, clock) as provider:
            for _ in range(5):
                await provider.find(["api_key"])
            assert server.asked.count("GET /v1/secret/data/tandem") == 1
            await server.write("tandem", {"api_key": "value-2"})
            await clock.advance(1.0)
            found = (await provider.find(["api_key"])).found
            assert found["api_key"].secret.reveal() == "value-2"


async def test_a_namespace_parts_entries() -> None:
    """That of another tenant is not ours."""
    async with fake_vault() as server:
        await server.write("tandem", {"api_key": "value-1"})
        await server.write("tandem", {"api_key": "value-n"}, namespace="team")
        wanted = Vault(address=server.address, paths=["tandem"], namespace="team")
        wanted.token.CopyFrom(VaultToken())
        held = Held({"vault_token": await server.token(600)}, _CLOCK.now())
        async with vault.opened(wanted, held, _CLOCK) as provider:
            assert await values(provider, "api_key") == {"api_key": ("value-n", "1")}


async def test_only_a_vault_of_the_right_authority_is_asked(tmp_path: Path) -> None:
    """Nobody else is shown the token; a file that is no authority's is named."""
    identities = await consul_identities(tmp_path)
    server_side = identities["server"]
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(server_side.certificate_path, server_side.key_path)
    async with fake_vault(trust=trust) as server:
        await server.write("tandem", {"api_key": "value-1"})
        known = {"vault_token": await server.token(600)}
        async with asking(server, known, trusted=str(server_side.ca_path)) as provider:
            assert await values(provider, "api_key") == {"api_key": ("value-1", "1")}
        asked = len(server.asked)
        for trusted, said in (("", "no trust"), (str(tmp_path / "none"), "cannot be read")):
            async with asking(server, known, trusted=trusted) as provider:
                with pytest.raises(Refused, match=said):
                    await provider.find(["api_key"])
        assert len(server.asked) == asked
