"""What OpenAI's own client for Python makes of our answers, as JSON: one field for each thing that
it can do. OPENAI_BASE_URL and OPENAI_API_KEY say where and as whom.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openai  # pants: no-infer-dep

CLIENT = openai.OpenAI(max_retries=0)
ASKED: Any = [{"role": "user", "content": "how far is naïve 🪿"}]
_OF = {"type": "object", "properties": {"of": {"type": "string"}}}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": _OF}} for name in ("area", "age")
]
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "schema": {"type": "object", "properties": {"far": {"type": "string"}}},
    },
}


def chat() -> object:
    answer = CLIENT.chat.completions.create(
        model="script/words", messages=ASKED, seed=1, stop=["."]
    )
    extra: Any = answer.model_extra
    return {
        "content": answer.choices[0].message.content,
        "finish_reason": answer.choices[0].finish_reason,
        "model": answer.model,
        "total_tokens": answer.usage and answer.usage.total_tokens,
        "answerer": extra["answerer"]["backend"],
    }


def head() -> object:
    raw = CLIENT.chat.completions.with_raw_response.create(model="script/words", messages=ASKED)
    return raw.headers["x-tandem-backend"]


def stream() -> object:
    chunks = list(
        CLIENT.chat.completions.create(
            model="script/words",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = [one.choices[0].delta.content or "" for one in chunks if one.choices]
    last = chunks[-1]
    return {
        "content": "".join(said),
        "total_tokens": last.usage and last.usage.total_tokens,
        "finish_reason": [one.choices[0].finish_reason for one in chunks if one.choices][-1],
    }


def accumulated() -> object:
    """The client's own reading of a stream, tools and all."""
    with CLIENT.chat.completions.stream(
        model="script/words", messages=ASKED, tools=TOOLS, parallel_tool_calls=True
    ) as events:
        message = events.get_final_completion().choices[0].message
    return [[one.id, one.function.name, one.function.arguments] for one in message.tool_calls or ()]


def tools() -> object:
    answer = CLIENT.chat.completions.create(
        model="script/words", messages=ASKED, tools=TOOLS, tool_choice="required"
    )
    message = answer.choices[0].message
    calls = [one for one in message.tool_calls or () if one.type == "function"]
    # What was said goes back as it came, with what the tools answered.
    answered: Any = [
        {"role": "tool", "tool_call_id": one.id, "content": one.function.name} for one in calls
    ]
    more = CLIENT.chat.completions.create(
        model="script/words", messages=[*ASKED, message, *answered]
    )
    return {
        "finish_reason": answer.choices[0].finish_reason,
        "calls": [[one.function.name, one.function.arguments] for one in calls],
        "more": more.choices[0].message.content,
    }


def schema() -> object:
    answer = CLIENT.chat.completions.create(
        model="script/words", messages=ASKED, response_format=SCHEMA
    )
    return json.loads(answer.choices[0].message.content or "")


def cited() -> object:
    answer = CLIENT.chat.completions.create(model="quotes", messages=ASKED)
    (note,) = answer.choices[0].message.annotations or []
    return [note.url_citation.url, note.url_citation.start_index, note.url_citation.end_index]


def front() -> object:
    answer = CLIENT.chat.completions.create(model="tandem", messages=ASKED)
    (note,) = answer.choices[0].message.annotations or []
    extra: Any = answer.model_extra
    return [answer.choices[0].message.content, note.url_citation.url, extra["routing"]["route"]]


def texts() -> object:
    answer = CLIENT.completions.create(model="script/words", prompt=["one", "two"], max_tokens=9)
    return [one.text for one in answer.choices]


def text_stream() -> object:
    chunks = CLIENT.completions.create(model="script/words", prompt="one", stream=True)
    return "".join(one.choices[0].text for one in chunks)


def vectors() -> object:
    packed = CLIENT.embeddings.create(model="some-words", input=["a b", "c"])
    plain = CLIENT.embeddings.create(model="some-words", input="a b", encoding_format="float")
    return [[one.embedding for one in packed.data], plain.data[0].embedding]


def models_listed() -> object:
    return [
        [one.id for one in CLIENT.models.list()],
        CLIENT.models.retrieve("script/words").owned_by,
    ]


def failures() -> object:
    """The class of each failure, also of what fails in a stream, and what stands in it."""
    names = ["unknown", "refused", "unsupported", "long", "gone", "away", "busy", "broken"]
    found = {name: _failure(lambda name=name: _ask(name)) for name in names}
    found["badly"] = _failure(lambda: CLIENT.chat.completions.create(model="m", messages=[]))
    found["midst"] = _failure(lambda: _ask("breaks", stream=True))
    found["nobody"] = _failure(CLIENT.with_options(api_key="no").models.list)
    found["absent"] = _failure(lambda: CLIENT.responses.create(model="m", input="x"))
    late = CLIENT.with_options(default_headers={"x-tandem-timeout": "100ms"})
    found["late"] = _failure(lambda: late.chat.completions.create(model="forever", messages=ASKED))
    return found


def again() -> object:
    """Clients try again as they are told to: after 1.5 s, and not at all what is not here."""
    patient = CLIENT.with_options(max_retries=1)
    raw = _failure(lambda: patient.chat.completions.create(model="busy", messages=ASKED))
    _failure(lambda: patient.chat.completions.create(model="unsupported", messages=ASKED))
    return raw


def abort() -> object:
    events = CLIENT.chat.completions.create(model="forever", messages=ASKED, stream=True)
    first = next(iter(events))
    events.close()
    return first.id


def _ask(name: str, **options: Any) -> None:
    answer = CLIENT.chat.completions.create(model=name, messages=ASKED, **options)
    if options:
        list(answer)


def _failure(work: Any) -> object:
    try:
        work()
    except openai.APIError as error:
        return [type(error).__name__, getattr(error, "status_code", None), error.code]
    return None


def main() -> None:
    parts = (
        *(chat, head, stream, accumulated, tools, schema, cited, front, texts, text_stream),
        *(vectors, models_listed, failures, again, abort),
    )
    json.dump({part.__name__: part() for part in parts}, sys.stdout)


main()
