"""Spaces, labels and filters between the messages of contracts and what stores take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tandem.memory.v1 import embedding_pb2 as embeddings
from tandem.memory.v1 import label_filter_pb2 as messages
from tandemkit.storage.vectors.protocol import (
    Condition,
    Filter,
    Label,
    OneOf,
    Present,
    Space,
    Within,
)


def space_of(message: embeddings.EmbeddingSpace) -> Space:
    return Space(message.model, message.version, message.dimension)


def space_message(space: Space) -> embeddings.EmbeddingSpace:
    return embeddings.EmbeddingSpace(
        model=space.model, version=space.version, dimension=space.dimension
    )


def labels_of(labels: Iterable[messages.Label]) -> dict[str, Label]:
    """Of two with one key the later one counts."""
    return {
        one.key: tuple(one.texts.texts) if one.WhichOneof("value") == "texts" else one.number
        for one in labels
    }


def texts_of(labels: Iterable[messages.Label]) -> list[str]:
    """All that they say, but for numbers."""
    return [text for one in labels for text in one.texts.texts]


def label_messages(labels: Mapping[str, Label]) -> list[messages.Label]:
    return [
        messages.Label(key=key, texts=messages.TextSet(texts=one))
        if isinstance(one, tuple)
        else messages.Label(key=key, number=one)
        for key, one in labels.items()
    ]


def filter_of(message: messages.LabelFilter) -> Filter:
    return tuple(
        Condition(one.key, _holds_of(one), negated=one.negated) for one in message.conditions
    )


def filter_message(where: Filter) -> messages.LabelFilter:
    return messages.LabelFilter(conditions=map(_condition_message, where))


def _condition_message(condition: Condition) -> messages.LabelCondition:
    made = messages.LabelCondition(key=condition.key, negated=condition.negated)
    match condition.holds:
        case OneOf(texts):
            made.one_of.texts.extend(texts)
        case Within(least, most):
            made.within.CopyFrom(messages.NumberRange(least=least, most=most))
        case Present():
            made.present = True
    return made


def _holds_of(message: messages.LabelCondition) -> OneOf | Within | Present:
    if message.HasField("one_of"):
        return OneOf(tuple(message.one_of.texts))
    if not message.HasField("within"):
        return Present()
    least = message.within.least if message.within.HasField("least") else float("-inf")
    most = message.within.most if message.within.HasField("most") else float("inf")
    return Within(least, most)
