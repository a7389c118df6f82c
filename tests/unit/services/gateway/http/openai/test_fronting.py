"""The model `tandem`: the agent that finds out who can answer."""

from __future__ import annotations

import pytest

from tests.unit.services.gateway.http.gateways import Gateway
from tests.unit.services.gateway.http.openai.scripted import ASKED, Scripted
from tests.unit.services.gateway.http.openai.streams import events_of


@pytest.mark.parametrize("stream", [True, False])
async def test_the_model_tandem_is_the_front_that_asks_the_right_agent(
    it: Gateway, scripted: Scripted, *, stream: bool
) -> None:
    """With where it went, and citations as OpenAI has them."""
    messages = [{"role": "system", "content": "Be short."}, *ASKED]
    body = {"model": "tandem/script/words", "messages": messages, "route": "knowledge"}
    if stream:
        events, _ = await events_of(it, "/v1/chat/completions", **body)
        *chunks, done = events
        deltas = [one["choices"][0]["delta"] for one in chunks]
        text = "".join(one.get("content") or "" for one in deltas)
        (notes,) = [one["annotations"] for one in deltas if "annotations" in one]
        answer, message = chunks[-1], {"content": text, "annotations": notes}
        assert done == "[DONE]"
    else:
        _, answer = await it.post("/v1/chat/completions", body)
        message = answer["choices"][0]["message"]
    assert message["content"] == "Five facts [1]."
    cited = {"start_index": 11, "end_index": 14, "url": "docs/a.md", "title": "Agents"}
    assert message["annotations"] == [{"type": "url_citation", "url_citation": cited}]
    assert answer["routing"] == {"route": "knowledge", "basis": "classifier"}
    assert answer["answerer"]["backend"] == "extractive"
    (asked,) = scripted.asked
    assert (asked.text, asked.model, asked.history[0].text) == (
        "how far",
        "script/words",
        "Be short.",
    )


async def test_nobody_who_answers_has_a_status_also_in_a_stream(it: Gateway) -> None:
    """Where it was sent is no answer yet."""
    messages = [{"role": "user", "content": "nobody knows"}]
    body = {"model": "tandem", "messages": messages, "stream": True}
    status, said = await it.post("/v1/chat/completions", body)
    assert (status, said["error"]["code"]) == (503, "nobody_answered")


async def test_what_the_front_refuses_is_named_as_openai_names_it(it: Gateway) -> None:
    """Also what was said before."""
    messages = [{"role": "user", "content": "x" * 40_000}, *ASKED]
    _, said = await it.post("/v1/chat/completions", {"model": "tandem", "messages": messages})
    assert said["error"]["param"] == "messages[0].content"
