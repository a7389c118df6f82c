"""Filters and labels, as contracts write them."""

from __future__ import annotations

from tandem.memory.v1 import label_filter_pb2 as messages
from tandemkit.storage.vectors.protocol import Condition, Label, OneOf, Present, Space, Within
from tandemkit.storage.vectors.wire import (
    filter_message,
    filter_of,
    label_messages,
    labels_of,
    space_message,
    space_of,
)


def test_labels_and_spaces_come_back_as_they_went() -> None:
    """Texts as a tuple, numbers as numbers, 0 among them."""
    labels: dict[str, Label] = {"subjects": ("Ada", "Grace"), "at": 0.0}
    assert labels_of(label_messages(labels)) == labels
    space = Space("minilm", "1f2e", 384)
    assert space_of(space_message(space)) == space


def test_each_condition_is_read() -> None:
    """An end that is left out is none."""
    message = messages.LabelFilter(
        conditions=[
            messages.LabelCondition(key="a", one_of=messages.TextSet(texts=["x"]), negated=True),
            messages.LabelCondition(key="b", within=messages.NumberRange(least=0.0)),
            messages.LabelCondition(key="c", present=True),
        ]
    )
    where = (
        Condition("a", OneOf(("x",)), negated=True),
        Condition("b", Within(least=0.0)),
        Condition("c", Present()),
    )
    assert filter_of(message) == where
    assert filter_of(filter_message(where)) == where
