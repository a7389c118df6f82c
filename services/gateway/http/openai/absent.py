"""Paths of OpenAI's API that are not here: said so, with what there is."""

from __future__ import annotations

from http import HTTPStatus

from services.gateway.http.openai.errors import ErrorAnswer, Refused, absent

PRESENT = (
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/embeddings",
    "GET /v1/models",
    "GET /v1/models/{model}",
)
# What the API has beside these, by the path's first word; the rest it never had.
_KNOWN = frozenset(
    {
        "responses",
        "conversations",
        "images",
        "audio",
        "files",
        "uploads",
        "assistants",
        "threads",
        "fine_tuning",
        "batches",
        "moderations",
        "vector_stores",
        "realtime",
        "evals",
        "containers",
        "videos",
        "skills",
        "chatkit",
        "organization",
        "webhooks",
        "graders",
        "agents",
        "chat",
        "completions",
        "embeddings",
        "models",
    }
)


def refusal(method: str, path: str) -> Refused:
    """What is said of it."""
    here = ", ".join(PRESENT)
    if path.removeprefix("/v1/").partition("/")[0] in _KNOWN:
        return absent(f"{method} {path} of OpenAI's API is not here; there are {here}")
    message = f"{method} {path} is nothing of OpenAI's API; there are {here}"
    kind = "invalid_request_error"
    return Refused(ErrorAnswer(HTTPStatus.NOT_FOUND, kind, message, "unknown_url"))
