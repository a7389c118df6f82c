"""Dialogues for tests: seeded, so that a failure comes again."""

from __future__ import annotations

import random

from tandem.memory.v1.session_memory_service_pb2 import AppendTurnRequest
from tandem.memory.v1.session_pb2 import TURN_ROLE_ASSISTANT, TURN_ROLE_USER

SESSION = "namespaces/default/sessions/one"
_TOPICS = ("the garden", "the boat", "a recipe", "the weather", "the train", "a book", "the roof")
_SAID = (
    "I was thinking about {topic} today.",
    "Could you tell me more about {topic}?",
    "It seems that {topic} needs some attention before winter comes.",
    "We spoke about {topic} last week, and nothing came of it.",
    "Let us make a list of what {topic} would cost, and who could help.",
)


def chatter(turns: int, seed: int = 7) -> list[str]:
    """So many things that somebody might say."""
    draw = random.Random(seed)
    return [
        " ".join(
            draw.choice(_SAID).format(topic=draw.choice(_TOPICS)) for _ in range(draw.randint(1, 4))
        )
        for _ in range(turns)
    ]


def turn(
    number: int, text: str, session: str = SESSION, subjects: tuple[str, ...] = ()
) -> AppendTurnRequest:
    """The person and who answers, by turns."""
    role = TURN_ROLE_USER if number % 2 else TURN_ROLE_ASSISTANT
    return AppendTurnRequest(
        session=session, turn_id=f"t{number}", role=role, text=text, subjects=subjects
    )
