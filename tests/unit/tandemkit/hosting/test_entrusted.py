"""An agent's secrets: declared, followed, waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tandemkit.core import redaction
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import Bug
from tandemkit.core.secret import SecretMissing
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.entrusted import LOOK_S, Entrusted, Needed
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Refused
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.secrecy import files
from tandemkit.supervise.tasks import Tasks, failure_of
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.unit.tandemkit.rpc.probed import Probe

NEEDED = Needed(required=("api_key",), optional=("spare_key",))


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


def entrusted(folder: Path | None, clock: FakeClock) -> Entrusted:
    return Entrusted("probe-probe", NEEDED, folder, clock)


async def test_an_undeclared_secret_is_refused(tmp_path: Path) -> None:
    """Even where it lies in the host's folder, for another agent."""
    files.write(tmp_path / "others", "value-1")
    with pytest.raises(Bug, match="others"):
        entrusted(tmp_path, FakeClock()).follow("others")


async def test_a_changed_file_is_revealed_without_a_restart(tmp_path: Path) -> None:
    """Within a second; what is lost later changes nothing, and the old value stays hidden."""
    clock = FakeClock()
    files.write(tmp_path / "api_key", "value-1")
    followed = entrusted(tmp_path, clock).follow("api_key")
    assert followed.reveal() == "value-1"
    files.write(tmp_path / "api_key", "value-2")
    assert followed.reveal() == "value-1"
    await clock.advance(LOOK_S)
    assert followed.reveal() == "value-2"
    (tmp_path / "api_key").unlink()
    await clock.advance(LOOK_S)
    assert followed.reveal() == "value-2"
    assert "value" not in redaction.redacted("value-1 value-2")


async def test_who_waits_for_a_change_is_woken_by_one(tmp_path: Path) -> None:
    """And not by a file that was written with the same."""
    clock = FakeClock()
    files.write(tmp_path / "api_key", "value-1")
    followed = entrusted(tmp_path, clock).follow("api_key")
    assert followed.reveal() == "value-1"
    async with Tasks() as tasks:
        woken: list[str] = []

        async def wait() -> None:
            await followed.changed()
            woken.append(followed.reveal())

        tasks.spawn("wait", wait())
        await clock.advance(3 * LOOK_S)
        files.write(tmp_path / "api_key", "value-1")
        await clock.advance(3 * LOOK_S)
        assert not woken
        files.write(tmp_path / "api_key", "value-2")
        await clock.advance(LOOK_S)
    assert woken == ["value-2"]


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """An optional one keeps nobody from serving."""
    for folder in (tmp_path, None):
        with pytest.raises(SecretMissing, match=r"Missing required .*api_key"):
            await entrusted(folder, FakeClock()).check()
        with pytest.raises(ValueError, match="spare_key"):
            entrusted(folder, FakeClock()).follow("spare_key").reveal()
    files.write(tmp_path / "api_key", "value-1")
    await entrusted(tmp_path, FakeClock()).check()
    (tmp_path / "api_key").chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        await entrusted(tmp_path, FakeClock()).check()


@asynccontextmanager
async def _build(scope: Scope, _settings: None) -> AsyncIterator[Probe]:
    assert scope.require_secret("api_key").reveal() == "value-1"
    yield Probe()


@asynccontextmanager
async def _build_other(_scope: Scope, _settings: None) -> AsyncIterator[Probe]:
    yield Probe()


async def test_m122_an_agent_serves_when_its_secret_is_there(tmp_path: Path) -> None:
    """Until then its host runs, and callers hear what is missing; then it is built."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    with short_folder() as sockets:
        address = f"unix:{sockets}/host"
        place = Place(address, tmp_path, SystemClock(), 0.0, secrets=secrets)
        placed = Placed(Agent(contract=probe.DESCRIPTOR, build=_build), None, needed=NEEDED)
        async with hosting([placed], place), grpc.aio.insecure_channel(address) as channel:
            ask = channel.unary_unary(
                f"/{probe.SERVICE}/Echo",
                request_serializer=probe.ProbeRequest.SerializeToString,
                response_deserializer=probe.ProbeResponse.FromString,
            )
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(probe.ProbeRequest(text="one"))
            told = RemoteFailure.of(refused.value)
            assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "SECRET_MISSING")
            assert told.metadata == {"secrets": "api_key"}
            files.write(secrets / "api_key", "value-1")

            async def answer() -> str:
                call = ask(probe.ProbeRequest(text="two"))
                return (await call).text if await failure_of(call) is None else ""

            assert await eventually(answer) == "two"
