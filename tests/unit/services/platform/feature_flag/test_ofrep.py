"""Flags over OpenFeature's protocol: by hand, and by the official SDK in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandemkit.core.environment import Environment
from tests.unit.services.platform.feature_flag import sdk_client
from tests.unit.services.platform.feature_flag.flagged import KEY, Caller, boolean
from tests.unit.tandemkit.hosting.asking import Told, told

_FLAGS = "/ofrep/v1/evaluate/flags"


async def post(flags: Caller, path: str, body: Any, **headers: str) -> Told:
    text = body if isinstance(body, str) else json.dumps(body)
    shown = {"Host": "localhost", "Authorization": flags.token.header[1], **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in shown.items())
    length = len(text.encode())
    return await told(
        flags.http, f"POST {path} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{text}"
    )


async def test_a_flag_is_resolved_for_a_context(flags: Caller) -> None:
    """With the protocol's own names of reasons."""
    share = nouns.FlagShare(variant="on", millipercent=100_000)
    rule = nouns.FlagRule(name="all", rollout=nouns.FlagRollout(shares=[share]))
    await flags.put(boolean(KEY, rule))
    found = await post(flags, f"{_FLAGS}/{KEY}", {"context": {"targetingKey": "ana", "age": 3}})
    assert (found.status, found.value) == (
        200,
        {
            "key": KEY,
            "reason": "SPLIT",
            "variant": "on",
            "value": True,
            "metadata": {"version": "1", "rule": "all"},
        },
    )


async def test_all_flags_are_resolved_at_once_and_not_sent_twice(flags: Caller) -> None:
    """Whoever has the tag of what he would be told is told so; a change makes another one."""
    await flags.put(boolean())
    first = await post(flags, _FLAGS, {"context": {"targetingKey": "ana"}})
    assert [one["key"] for one in first.value["flags"]] == [KEY]
    tag = first.headers["ETag"]
    again = await post(flags, _FLAGS, {"context": {"targetingKey": "ana"}}, If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
    await flags.switch(KEY, enabled=False)
    changed = await post(flags, _FLAGS, {"context": {"targetingKey": "ana"}}, If_None_Match=tag)
    assert changed.value["flags"][0]["reason"] == "DISABLED"


async def test_what_cannot_be_answered_has_the_protocols_codes(flags: Caller) -> None:
    """Each with details, and none with a trace of ours."""
    await flags.put(boolean())
    cases = [
        (f"{_FLAGS}/no.flag", {}, 404, "FLAG_NOT_FOUND"),
        (f"{_FLAGS}/{KEY}", "{", 400, "PARSE_ERROR"),
        (f"{_FLAGS}/{KEY}", {"context": []}, 400, "INVALID_CONTEXT"),
        (f"{_FLAGS}/{KEY}", {"context": {"targetingKey": 3}}, 400, "INVALID_CONTEXT"),
        (f"{_FLAGS}/{KEY}", {"context": {"targetingKey": "x" * 600}}, 400, "INVALID_CONTEXT"),
        (f"{_FLAGS}/{KEY}", "[" * 60_000, 400, "PARSE_ERROR"),
        (f"{_FLAGS}/{KEY}", {"context": {"age": 10**400}}, 400, "INVALID_CONTEXT"),
        (f"{_FLAGS}/{KEY}", {"context": {"targetingKey": "\ud800"}}, 400, "INVALID_CONTEXT"),
    ]
    for path, body, status, code in cases:
        found = await post(flags, path, body)
        assert (found.status, found.value["errorCode"]) == (status, code)
        assert found.value["errorDetails"]
    assert (await post(flags, "/ofrep/v1/configuration", {})).status == 404


async def test_who_shows_no_token_hears_nothing(flags: Caller) -> None:
    """Flags say what is being built; a page of another origin is refused even with it."""
    assert (await post(flags, _FLAGS, {}, Authorization="Bearer no")).status == 401
    assert (await post(flags, _FLAGS, {}, Origin="http://evil.example")).status == 403


async def test_m029_the_official_sdk_reads_flags_of_every_kind_in_its_own_process(
    flags: Caller,
) -> None:
    """Booleans, texts, whole numbers and numbers; what is off or unknown gives its defaults."""
    await flags.put(boolean(KEY, default_variant="on"))
    for key, kind, value in (
        ("a.text", nouns.FLAG_KIND_TEXT, nouns.FlagValue(text="hello")),
        ("a.whole", nouns.FLAG_KIND_WHOLE, nouns.FlagValue(whole=7)),
        ("a.real", nouns.FLAG_KIND_REAL, nouns.FlagValue(real=2.0)),
    ):
        flag = boolean(key, default_variant="it")
        flag.kind = kind
        del flag.variants[:]
        flag.variants.add(name="it").value.CopyFrom(value)
        await flags.put(flag)
    await flags.put(boolean("a.off", default_variant="on"))
    await flags.switch("a.off", enabled=False)
    said = await _by_sdk(flags)
    assert said == {
        KEY: [True, "STATIC"],
        "a.text": ["hello", "STATIC"],
        "a.whole": [7, "STATIC"],
        "a.real": [2.0, "STATIC"],
        "a.off": [False, "DISABLED"],
        "a.none": [False, "ERROR"],
    }


async def _by_sdk(flags: Caller) -> dict[str, Any]:
    variables = {**Environment.read().variables, "TANDEM_BEARER": flags.token.bearer}
    argv = (sys.executable, "-m", sdk_client.__name__, flags.url, KEY)

    def run() -> str:
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True)
        return done.stdout

    # The SDK waits for this loop's answers.
    found: dict[str, Any] = json.loads(await asyncio.to_thread(run))
    return found
