"""What a memory is about, and whether a deletion means it: whoever holds memories, or copies of
them, asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tandem.memory.v1.memory_pb2 import Memory
from tandem.memory.v1.subject_pb2 import DeleteSubjectRequest, ExportSubjectRequest
from tandemkit.storage.subjects import Mention, folded
from tandemkit.storage.vectors.wire import texts_of

Request: TypeAlias = DeleteSubjectRequest | ExportSubjectRequest


def subjects_of(memory: Memory) -> frozenset[str]:
    """As they are compared."""
    named = [*memory.subjects, *([memory.fact.subject] if memory.HasField("fact") else [])]
    return frozenset(folded(one) for one in named)


def selection(request: Request) -> Callable[[Memory], bool]:
    """Whether a memory of the request's namespace is one of those that it means."""
    if request.whole_namespace:
        return lambda _memory: True
    subject = folded(request.subject)
    mention = Mention(request.subject) if request.mentions else None

    def is_meant(memory: Memory) -> bool:
        if subject in subjects_of(memory):
            return True
        return mention is not None and any(map(mention.is_in, _texts(memory)))

    return is_meant


def _texts(memory: Memory) -> list[str]:
    """All that somebody wrote."""
    source, fact = memory.source, memory.fact
    said = [fact.subject, fact.predicate, fact.object, source.caller, source.session, source.uri]
    return [memory.text, *memory.subjects, *said, *texts_of(memory.labels)]
