"""One table of calls, the same over every face: what comes back, and what the agent sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tandemkit.supervise.errands import Errands
from tests.contract.faces.faces import Face, Outcome, faces
from tests.contract.faces.script import ABORT, BREAK, HANG, REFUSE, RETRY, RETRY_S, SAY, Script
from tests.unit.services.gateway.http.gateways import Gateway

# What each is compared with: the stock channel to the agent that it ends at.
_TOOLS, _MODELS = "gRPC", "gRPC, models"
_LIKE = {
    _TOOLS: _TOOLS,
    "in-process": _TOOLS,
    "REST": _TOOLS,
    "MCP": _TOOLS,
    _MODELS: _MODELS,
    "OpenAI": _MODELS,
    "KServe": _MODELS,
}
_OUTSIDE = tuple(one for one in _LIKE if one != "in-process")
_TOO_LARGE = "x" * 5_000_000
# What OpenAI's API has one word for.
_MERGED = {
    "OUT_OF_RANGE": "INVALID_ARGUMENT",
    "ALREADY_EXISTS": "ABORTED",
    "UNKNOWN": "INTERNAL",
    "DATA_LOSS": "INTERNAL",
    "CANCELLED": "INTERNAL",
}
_CODES = [one.name for one in grpc.StatusCode if one is not grpc.StatusCode.OK]
_TEXTS = {
    "a word": "hello",
    "unicode": "naïve 👩‍👩‍👧 עברית 小川 \u2028 e\u0301",
    "quotes and breaks": 'a "b"\n\tc \\ </script> & d',
    "what looks like JSON": '{"text": null}',
    "large": "0123456789abcdef" * 16_384,
}


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def there(tmp_path: Path, script: Script) -> AsyncIterator[tuple[Gateway, dict[str, Face]]]:
    async with faces(tmp_path, script) as found:
        yield found


async def test_an_answer_is_the_same_over_every_face(
    there: tuple[Gateway, dict[str, Face]],
) -> None:
    """To the last character."""
    it, known = there
    for text in _TEXTS.values():
        for name in _LIKE:
            told = await known[name].say(SAY + text, bearer=it.token.bearer)
            assert told == Outcome(text=text), name


async def test_every_class_of_failure_is_the_same_over_every_face(
    there: tuple[Gateway, dict[str, Face]],
) -> None:
    """With its words."""
    it, known = there
    for code in _CODES:
        for name in _LIKE:
            told = await known[name].say(ABORT + code, bearer=it.token.bearer)
            wanted = _MERGED.get(code, code) if name == "OpenAI" else code
            assert (told.code, told.message) == (wanted, "it was told to fail"), name


async def test_a_reason_is_the_same_over_every_face(
    there: tuple[Gateway, dict[str, Face]],
) -> None:
    """Whose it is, what it is about, and when to ask again."""
    it, known = there
    for said in (REFUSE, RETRY, BREAK):
        found = {name: await known[name].say(said, bearer=it.token.bearer) for name in _LIKE}
        for name, told in found.items():
            wanted = found[_LIKE[name]]
            assert (told.code, told.reason, told.domain) == (
                wanted.code,
                wanted.reason,
                wanted.domain,
            ), name
            assert told.retry_after_s == wanted.retry_after_s, name
            assert told.message.startswith(wanted.message), name
            if said == REFUSE and told.metadata is not None:
                assert told.metadata == {"unit": "ell"}, name
        assert (found["REST"].retry_after_s == RETRY_S) == (said == RETRY)


async def test_what_is_too_large_is_refused_over_every_face(
    there: tuple[Gateway, dict[str, Face]],
) -> None:
    """By the agent's own bound, and the next call is answered."""
    it, known = there
    for name in _LIKE:
        told = await known[name].say(SAY + _TOO_LARGE, bearer=it.token.bearer)
        assert told.code == "RESOURCE_EXHAUSTED", name
        assert "larger than max" in told.message, name
        assert (await known[name].say(SAY + "on", bearer=it.token.bearer)).text == "on", name


async def test_a_deadline_holds_over_every_face(
    there: tuple[Gateway, dict[str, Face]], script: Script
) -> None:
    """And the agent is told that nobody waits any more."""
    it, known = there
    for name in _LIKE:
        told = await known[name].say(HANG, within_s=0.3, bearer=it.token.bearer)
        assert told.code == "DEADLINE_EXCEEDED", name
        async with asyncio.timeout(10):
            await script.left.acquire()


async def test_who_hangs_up_is_not_worked_for_over_any_face(
    there: tuple[Gateway, dict[str, Face]], script: Script
) -> None:
    """The call is cancelled at the agent."""
    it, known = there
    errands = Errands()
    for name in _LIKE:
        asking = errands.start(_hung(known[name], it.token.bearer))
        async with asyncio.timeout(10):
            await script.begun.acquire()
            asking.cancel()
            await script.left.acquire()
        await asyncio.wait([asking])


async def test_who_shows_no_token_is_refused_over_every_face(
    there: tuple[Gateway, dict[str, Face]],
) -> None:
    """And who shows another one."""
    _, known = there
    for bearer, reason in (("", "TOKEN_MISSING"), ("Bearer guessed", "TOKEN_WRONG")):
        wanted = await known["gRPC"].say(SAY, bearer=bearer)
        assert wanted.code == "UNAUTHENTICATED", reason
        for name in _OUTSIDE:
            told = await known[name].say(SAY, bearer=bearer)
            assert (told.code, told.reason) == (wanted.code, wanted.reason), name


async def _hung(face: Face, bearer: str) -> None:
    await face.say(HANG, bearer=bearer)
