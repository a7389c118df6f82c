"""What an answer cost where nobody counted."""

from __future__ import annotations

from tandem.models.v1 import chat_pb2 as chat

# Of English text in the tokens of usual models, about.
_CHARS_A_TOKEN = 4


def estimated(asked: str, answered: str) -> chat.Usage:
    """By the lengths of the texts."""
    return chat.Usage(
        prompt_tokens=_tokens(asked), completion_tokens=_tokens(answered), is_estimated=True
    )


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARS_A_TOKEN)
