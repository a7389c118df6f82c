"""Catalogue row M063 and R091: the key of a backend, and what is said where there is none."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from services.models.model.agent import AGENT
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.core.secret import Secret, require_secret
from tandemkit.hosting.entrusted import Needed
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.secrecy import files
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.failures import failure_of
from tandemkit.testing.model_servers import ModelServer, model_server
from tandemkit.testing.parts import short_folder
from tests.unit.services.models.model.living import request, settings_for

KEY = "sk-" + "some-key-of-a-test"
NAME = "openai_api_key"


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server(ModelServer(key=KEY)) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of secrets."""
    found = tmp_path / "secrets"
    found.mkdir(mode=0o700)
    return found


@asynccontextmanager
async def keyed(
    server: ModelServer, needed: Needed, folder: Path
) -> AsyncIterator[rpc.ModelServiceAsyncStub]:
    """In a host whose secrets are in `folder`."""
    settings = settings_for(server)
    settings.backends[0].openai.key_secret = NAME
    placed = Placed(AGENT, settings, needed=needed)
    documents = Placed(fake_agent(knowledge.DESCRIPTOR), None)
    with short_folder() as sockets:
        address = f"unix:{sockets}/host"
        place = Place(address, folder, SystemClock(), 0.0, secrets=folder)
        async with (
            hosting([placed, documents], place),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield rpc.ModelServiceStub(channel)


async def test_m063_a_missing_key_fails_at_start_with_the_quoted_message(
    server: ModelServer, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the stanza requires it the agent is not built, and says what it lacks and where it is
    looked for; nothing is sent to the server.
    """
    with caplog.at_level(logging.WARNING):
        async with keyed(server, Needed(required=(NAME,)), folder) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Chat(request())
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SECRET_MISSING")
    assert failure.metadata == {"secrets": NAME}
    said = " ".join(str(vars(one)) for one in caplog.records)
    assert "Missing required API key" in said
    assert server.shown == []
    with pytest.raises(ValueError, match=f"Missing required API key.*{NAME}"):
        require_secret({}, NAME)


async def test_m063_a_backend_without_its_key_leaves_the_others_serving(
    server: ModelServer, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the key is optional: it is said at the start, in every refusal, and to operators."""
    with caplog.at_level(logging.WARNING, logger="tandem.models"):
        async with keyed(server, Needed(optional=(NAME,)), folder) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Chat(request())
            (backend, quotes) = (await stub.ListBackends(pb.ListBackendsRequest())).backends
            assert server.shown == []
            files.write(folder / NAME, KEY)
            await SystemClock().sleep(1.1)  # a secret is looked at once a second
            answer = await stub.Chat(request())
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "KEY_MISSING",
    )
    assert "Missing required API key" in failure.message
    assert failure.metadata["secret"] == NAME
    assert "OPENAI_API_KEY" in failure.metadata["hint"]
    assert backend.state == nouns.BACKEND_STATE_KEY_MISSING
    assert backend.cause == "Missing required API key"
    assert quotes.state != nouns.BACKEND_STATE_KEY_MISSING
    assert [one.message for one in caplog.records] == ["models.key_missing"]
    assert answer.answerer.backend == "first"
    assert server.shown == [f"Bearer {KEY}"]


async def test_a_key_is_in_no_failure(server: ModelServer, folder: Path) -> None:
    """The server repeats it; the caller is not told."""
    wrong = Secret("sk-" + "wrong-key-of-a-test").reveal()
    files.write(folder / NAME, wrong)
    async with keyed(server, Needed(optional=(NAME,)), folder) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Chat(request())
    assert failure_of(caught.value).reason == "BACKEND_REFUSED"
    assert wrong not in str(caught.value)
