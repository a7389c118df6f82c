"""The official clients of OpenAI's API, unchanged, against a gateway: what each makes of our
answers.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.contract.openai_clients import programs
from tests.unit.services.gateway.http.gateways import Gateway, gateway
from tests.unit.services.gateway.http.openai.scripted import Scripted

_LANGUAGES = ("python", "node")
_SAID = "You said: how far is naïve 🪿 "
_WITHIN_S = 5.0
# Classes by failure, and the status and the code that an exception carries.
_FAILURES = {
    "unknown": ["NotFoundError", 404, "model_not_found"],
    "refused": ["UnprocessableEntityError", 422, "backend_refused"],
    "unsupported": ["InternalServerError", 501, "feature_unsupported"],
    "long": ["BadRequestError", 400, "context_length_exceeded"],
    "gone": ["ConflictError", 409, "stream_not_resumable"],
    "away": ["InternalServerError", 503, "backend_unreachable"],
    "busy": ["RateLimitError", 429, "rate_limit_exceeded"],
    "broken": ["InternalServerError", 500, "internal"],
    "badly": ["BadRequestError", 400, "empty_array"],
    "midst": ["APIError", None, "backend_unreachable"],
    "nobody": ["AuthenticationError", 401, "invalid_api_key"],
    "absent": ["InternalServerError", 501, "not_implemented"],
    "late": ["InternalServerError", 504, "deadline_exceeded"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=_LANGUAGES)
async def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Any]]:
    """What the client's program says, with what the agents were asked."""
    scripted = Scripted()
    async with gateway(tmp_path_factory.mktemp("g"), *scripted.agents) as it:
        said = await (_python(it) if request.param == "python" else _node(it))
        async with asyncio.timeout(_WITHIN_S):
            gone = [await scripted.gone.get() for _ in range(2)]
    models = [one.model for one in scripted.asked if hasattr(one, "model")]
    yield {**json.loads(said), "models": models, "gone": gone}


async def _python(it: Gateway) -> str:
    argv = (*await programs.python(), str(programs.HERE / "python" / "client.py"))
    return await programs.run(argv, programs.HERE, programs.shown(it))


async def _node(it: Gateway) -> str:
    folder, argv = await programs.node()
    shutil.copy2(programs.HERE / "node" / "client.mjs", folder)
    return await programs.run((*argv, "client.mjs"), folder, programs.shown(it))


def test_a_client_chats(told: dict[str, Any]) -> None:
    """An answer, the reason of its end, what it cost, and who gave it."""
    assert told["chat"] == {
        "content": _SAID,
        "finish_reason": "stop",
        "model": "script/words",
        "total_tokens": 7,
        "answerer": "script",
    }
    assert told["head"] == "script"


def test_a_client_reads_a_stream(told: dict[str, Any]) -> None:
    """Word by word, with what it cost at its end."""
    assert told["stream"] == {"content": _SAID, "total_tokens": 7, "finish_reason": "stop"}


def test_a_client_calls_tools(told: dict[str, Any]) -> None:
    """Two at once, and sends back what they answered."""
    calls = [["area", '{"of":"x"}'], ["age", '{"of":"x"}']]
    assert told["tools"] == {
        "finish_reason": "tool_calls",
        "calls": calls,
        "more": "You said: age ",
    }


def test_a_client_puts_tool_calls_of_a_stream_together(told: dict[str, Any]) -> None:
    """By its own means."""
    assert told["accumulated"] == [
        ["call-0", "area", '{"of":"x"}'],
        ["call-1", "age", '{"of":"x"}'],
    ]


def test_a_client_asks_for_json(told: dict[str, Any]) -> None:
    """By a schema."""
    assert told["schema"] == {"far": "how far is naïve 🪿"}


def test_a_client_shows_citations(told: dict[str, Any]) -> None:
    """In the form that OpenAI's own have."""
    assert told["cited"] == ["docs/a.md", 11, 14]
    assert told["front"] == ["Five facts [1].", "docs/a.md", "knowledge"]


def test_a_client_has_texts_gone_on_with(told: dict[str, Any]) -> None:
    """Two at once, and one as it is written."""
    assert told["texts"] == ["one and so on", "two and so on"]
    assert told["text_stream"] == "one and so on"


def test_a_client_has_texts_embedded(told: dict[str, Any]) -> None:
    """As bytes, which it asks for by itself, and as numbers."""
    one, two = [3, 0.5, -1, 0], [1, 0.5, -1, 0]
    assert told["vectors"] == [[one, two], one]


def test_a_client_lists_models(told: dict[str, Any]) -> None:
    """Also one whose name has a slash."""
    assert told["models_listed"] == [["script/words", "some-words", "tandem"], "script"]


@pytest.mark.parametrize("name", _FAILURES)
def test_a_client_raises_what_its_documents_say(told: dict[str, Any], name: str) -> None:
    """Each failure has the class that callers look for."""
    assert told["failures"][name] == _FAILURES[name]


def test_a_client_tries_again_where_that_may_help(told: dict[str, Any]) -> None:
    """What is busy is asked once more, what is not there is not."""
    assert told["again"] == ["RateLimitError", 429, "rate_limit_exceeded"]
    assert told["models"].count("busy") == 3
    assert told["models"].count("unsupported") == 2


def test_a_client_that_leaves_a_stream_ends_the_backends_work(told: dict[str, Any]) -> None:
    """As the caller does whose time is over."""
    assert told["abort"] == "chatcmpl-1"
    assert told["models"].count("forever") == len(told["gone"]) == 2
