"""OpenAI's paths as they are asked over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.unit.services.gateway.http.gateways import Gateway
from tests.unit.services.gateway.http.openai.scripted import (
    ASKED,
    EMBEDDER,
    FOREVER,
    MODEL,
    QUOTES,
    Scripted,
)
from tests.unit.services.gateway.http.openai.streams import events_of

_WITHIN_S = 5.0
# Of a caller who then closes its connection.
_PATIENCE = aiohttp.ClientTimeout(total=0.2)


async def test_a_stream_ends_with_done_and_its_backend_is_in_the_head(it: Gateway) -> None:
    """Every event is one that clients read."""
    events, headers = await events_of(it, "/v1/chat/completions", model=MODEL, messages=ASKED)
    *chunks, done = events
    assert done == "[DONE]"
    words = [one["choices"][0]["delta"].get("content") or "" for one in chunks]
    assert "".join(words) == "You said: how far "
    assert headers["x-tandem-backend"] == "script"
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"


async def test_what_breaks_in_the_midst_is_the_last_event(it: Gateway) -> None:
    """There is no status any more, and no `[DONE]`."""
    events, _ = await events_of(it, "/v1/chat/completions", model="breaks", messages=ASKED)
    assert events[-1]["error"]["code"] == "backend_unreachable"
    assert events[-1]["error"]["type"] == "unavailable_error"


async def test_a_stream_goes_on_behind_the_loss_of_who_served_it(
    it: Gateway, scripted: Scripted
) -> None:
    """The client sees one: nothing twice, and nothing left out."""
    events, _ = await events_of(it, "/v1/chat/completions", model="moves", messages=ASKED)
    *chunks, done = events
    words = [one["choices"][0]["delta"].get("content") or "" for one in chunks]
    assert ("".join(words), done) == ("You said: how far ", "[DONE]")
    assert [one.resume_token for one in scripted.asked] == ["", "3"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("unknown", 404, "model_not_found"),
        ("refused", 422, "backend_refused"),
        ("unsupported", 501, "feature_unsupported"),
        ("long", 400, "context_length_exceeded"),
        ("gone", 409, "stream_not_resumable"),
        ("away", 503, "backend_unreachable"),
        ("busy", 429, "rate_limit_exceeded"),
        ("broken", 500, "internal"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_has_its_status_also_where_a_stream_was_asked_for(
    it: Gateway, model: str, status: int, code: str, *, stream: bool
) -> None:
    """Nothing was said yet when it failed."""
    asked = {"model": model, "messages": ASKED, "stream": stream}
    async with it.client.post(f"{it.url}/v1/chat/completions", json=asked) as told:
        error = (await told.json())["error"]
        assert (told.status, error["code"]) == (status, code)
        if model in {"away", "busy"}:
            assert (told.headers["retry-after"], told.headers["retry-after-ms"]) == ("1", "300")


async def test_a_field_that_the_agent_refuses_is_named_as_openai_names_it(it: Gateway) -> None:
    """The contract's rules are told in the caller's own words."""
    bad = {"model": MODEL, "messages": ASKED, "temperature": 3, "max_tokens": 2_000_000}
    status, said = await it.post("/v1/chat/completions", bad)
    assert status == 400
    assert said["error"]["param"] in {"temperature", "max_completion_tokens"}
    assert set(said["error"]["violations"]) == {"temperature", "max_completion_tokens"}


@pytest.mark.parametrize("stream", [True, False])
async def test_whoever_hangs_up_ends_the_work_of_the_backend(
    it: Gateway, scripted: Scripted, *, stream: bool
) -> None:
    """Before a word was said, and behind some."""
    asked = {"model": FOREVER, "messages": ASKED, "stream": stream}
    call = it.client.post(f"{it.url}/v1/chat/completions", json=asked, timeout=_PATIENCE)
    with pytest.raises(TimeoutError):
        async with call as told:
            await told.text()
    async with asyncio.timeout(_WITHIN_S):
        await scripted.gone.get()


async def test_a_deadline_of_the_caller_is_kept(it: Gateway, scripted: Scripted) -> None:
    """It reaches the backend, and is told as one."""
    body = {"model": FOREVER, "messages": ASKED}
    headers = {"x-tandem-timeout": "100ms"}
    status, said = await it.post("/v1/chat/completions", body, headers=headers)
    assert (status, said["error"]["type"]) == (504, "timeout_error")
    async with asyncio.timeout(_WITHIN_S):
        await scripted.gone.get()


async def test_several_prompts_are_one_answer(it: Gateway) -> None:
    """In the order of the prompts, with what all of them cost."""
    body = {"model": MODEL, "prompt": ["one", "two", "three"], "max_tokens": 4}
    status, said = await it.post("/v1/completions", body)
    assert status == 200
    texts = [(one["index"], one["text"]) for one in said["choices"]]
    assert texts == [(0, "one and so on"), (1, "two and so on"), (2, "three and so on")]
    assert said["usage"] == {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


async def test_several_prompts_stream_at_once(it: Gateway) -> None:
    """Each event says of which prompt it is, and the last what all of them cost."""
    options = {"include_usage": True}
    events, _ = await events_of(
        it, "/v1/completions", model=MODEL, prompt=["one", "two"], stream_options=options
    )
    texts = ["", ""]
    for one in events[:-2]:
        texts[one["choices"][0]["index"]] += one["choices"][0]["text"]
    assert texts == ["one and so on", "two and so on"]
    assert events[-2]["usage"]["total_tokens"] == 14


async def test_one_prompt_that_fails_fails_all(it: Gateway) -> None:
    """The others are not waited for."""
    status, said = await it.post("/v1/completions", {"model": "busy", "prompt": ["one", "two"]})
    assert (status, said["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_vectors_are_numbers_or_their_bytes(it: Gateway) -> None:
    """Clients ask for bytes by themselves."""
    asked = {"model": "default", "input": ["a b", "c"]}
    _, numbers = await it.post("/v1/embeddings", asked)
    assert [one["embedding"] for one in numbers["data"]] == [[3, 0.5, -1, 0], [1, 0.5, -1, 0]]
    assert numbers["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert numbers["model"] == EMBEDDER
    _, packed = await it.post("/v1/embeddings", {**asked, "encoding_format": "base64"})
    assert packed["data"][1]["embedding"] == "AACAPwAAAD8AAIC/AAAAAA=="


async def test_more_texts_than_the_agent_takes_are_asked_in_turns(
    it: Gateway, scripted: Scripted
) -> None:
    """Their order stays."""
    texts = [str(number) for number in range(300)]
    _, said = await it.post("/v1/embeddings", {"model": EMBEDDER, "input": texts})
    assert [one["index"] for one in said["data"]] == list(range(300))
    assert [one["embedding"][0] for one in said["data"]] == [len(one) for one in texts]
    assert [len(one.texts) for one in scripted.asked] == [256, 44]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": [1, 2]}, 501, "input"),
        ({"input": [[1, 2]]}, 501, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ["x"] * 2049}, 400, "input"),
        ({"input": "x", "dimensions": 3}, 400, "dimensions"),
        ({"input": "x", "encoding_format": "hex"}, 400, "encoding_format"),
        ({}, 400, "input"),
    ],
)
async def test_vectors_that_cannot_be_are_refused(
    it: Gateway, body: dict[str, Any], status: int, param: str
) -> None:
    """Without asking for others instead."""
    told, said = await it.post("/v1/embeddings", {"model": EMBEDDER, **body})
    assert (told, said["error"]["param"]) == (status, param)


async def test_models_are_those_that_can_be_named(it: Gateway) -> None:
    """Language models, the embedding model and the front; each can be asked for alone."""
    async with it.client.get(f"{it.url}/v1/models") as told:
        rows = (await told.json())["data"]
    assert [one["id"] for one in rows] == [MODEL, EMBEDDER, "tandem"]
    for row in rows:
        async with it.client.get(f"{it.url}/v1/models/{row['id']}") as told:
            assert await told.json() == row
    async with it.client.get(f"{it.url}/v1/models/nobody") as told:
        assert (told.status, (await told.json())["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/responses", 501),
        ("POST", "/v1/images/generations", 501),
        ("POST", "/v1/audio/speech", 501),
        ("GET", "/v1/files", 501),
        ("DELETE", "/v1/models/x", 501),
        ("GET", "/v1/chat/completions", 501),
        ("POST", "/v1/nonsense", 404),
    ],
)
async def test_what_is_not_here_says_what_is(
    it: Gateway, method: str, path: str, status: int
) -> None:
    """A typed answer instead of a page of the server's."""
    async with it.client.request(method, f"{it.url}{path}") as told:
        said = (await told.json())["error"]
        assert told.status == status
    assert "POST /v1/chat/completions" in said["message"]


async def test_who_shows_nothing_is_told_in_the_form_of_openai(it: Gateway) -> None:
    """Clients make their exception of it."""
    body = {"model": MODEL, "messages": ASKED}
    headers = {"authorization": "Bearer wrong"}
    status, said = await it.post("/v1/chat/completions", body, headers=headers)
    assert (status, said["error"]["code"]) == (401, "invalid_api_key")


async def test_quotes_say_that_no_language_model_answered(it: Gateway) -> None:
    """And on what they stand."""
    _, said = await it.post("/v1/chat/completions", {"model": QUOTES, "messages": ASKED})
    assert said["model"] == QUOTES
    assert said["answerer"]["is_generative"] is False
    assert said["sources"][0]["quote"] == "Five facts."
