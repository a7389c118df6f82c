"""What no store of vectors takes, refused before any of them is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tandemkit.storage.vectors.protocol import (
    CHOICES_MAX,
    CONDITIONS_MAX,
    DIMENSION_MAX,
    HITS_MAX,
    ID_BYTES_MAX,
    LABEL_CHARS_MAX,
    LABEL_TEXTS_MAX,
    LABELS_MAX,
    PAGE_POINTS_MAX,
    POINTS_MAX,
    CollectionDiffers,
    Condition,
    Filter,
    Label,
    Metric,
    OneOf,
    Plan,
    Point,
    Query,
    Space,
    SpaceMismatch,
    Values,
    Within,
)

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


def check_name(name: str) -> None:
    """Raises ValueError for what is no name of a collection."""
    if _NAME.fullmatch(name) is None or ".." in name:
        raise ValueError("not a name of a collection")


def check_plan(plan: Plan) -> None:
    """Raises ValueError for a space without a model or a sensible dimension."""
    if not plan.space.model or not 1 <= plan.space.dimension <= DIMENSION_MAX:
        raise ValueError(f"a space has a model and from 1 to {DIMENSION_MAX} numbers")


def check_same(name: str, wanted: Plan, found: Plan) -> None:
    """Raises SpaceMismatch, CollectionDiffers."""
    check_space(found.space, wanted.space)
    if wanted != found:
        raise CollectionDiffers(name, wanted, found)


def check_space(expected: Space, actual: Space) -> None:
    """Raises SpaceMismatch."""
    if expected != actual:
        raise SpaceMismatch(expected, actual)


def check_points(points: Sequence[Point], plan: Plan) -> None:
    """Raises ValueError for points that do not belong in such a collection."""
    if not 1 <= len(points) <= POINTS_MAX:
        raise ValueError(f"from 1 to {POINTS_MAX} points are written at once")
    check_ids([point.id for point in points])
    if len({point.id for point in points}) < len(points):
        raise ValueError("two points have one id")
    for point in points:
        check_values(point.values, plan)
        _check_labels(point.labels)


def check_ids(ids: Sequence[str]) -> None:
    """Raises ValueError for what is no id, or too many of them."""
    if len(ids) > POINTS_MAX:
        raise ValueError(f"at most {POINTS_MAX} ids are named at once")
    for one in ids:
        if not _is_text(one) or not 1 <= len(one.encode()) <= ID_BYTES_MAX:
            raise ValueError(f"an id has from 1 to {ID_BYTES_MAX} bytes of text")


def check_values(values: Values, plan: Plan) -> None:
    """Raises ValueError for what is no vector of the collection's space."""
    if values.dtype != np.float32 or values.shape != (plan.space.dimension,):
        raise ValueError(f"a vector has {plan.space.dimension} numbers of 32 bits")
    # The sum of finite squares is finite unless they are beyond all use.
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(np.dot(values, values))
    if not math.isfinite(square):
        raise ValueError("a vector has finite numbers, whose squares can be added up")
    if plan.metric is Metric.COSINE and square < np.finfo(np.float32).tiny:
        raise ValueError("a vector without length has no direction, so no cosine")


def check_query(query: Query, plan: Plan) -> None:
    """Raises ValueError, SpaceMismatch."""
    check_space(plan.space, query.space)
    check_values(query.values, plan)
    check_filter(query.where)
    if not 1 <= query.k <= HITS_MAX:
        raise ValueError(f"from 1 to {HITS_MAX} hits are asked for")


def check_page(limit: int) -> None:
    """Raises ValueError."""
    if not 1 <= limit <= PAGE_POINTS_MAX:
        raise ValueError(f"a page has from 1 to {PAGE_POINTS_MAX} points")


def check_delete(ids: Sequence[str], where: Filter | None) -> None:
    """Raises ValueError where nothing says what goes, or both do."""
    if bool(ids) == (where is not None):
        raise ValueError("either ids or a filter say what is deleted")
    check_ids(ids)
    check_filter(where or ())


def check_filter(where: Filter) -> None:
    """Raises ValueError for a filter that is none, or too large."""
    if len(where) > CONDITIONS_MAX:
        raise ValueError(f"a filter has at most {CONDITIONS_MAX} conditions")
    for condition in where:
        _check_condition(condition)


def _check_condition(condition: Condition) -> None:
    _check_key(condition.key)
    match condition.holds:
        case OneOf(texts):
            if not 1 <= len(texts) <= CHOICES_MAX:
                raise ValueError(f"a condition names from 1 to {CHOICES_MAX} texts")
            _check_texts(texts)
        case Within(least, most):
            if math.isnan(least) or math.isnan(most):
                raise ValueError("a range has numbers for ends")


def _check_labels(labels: Mapping[str, Label]) -> None:
    if len(labels) > LABELS_MAX:
        raise ValueError(f"a point has at most {LABELS_MAX} labels")
    for key, label in labels.items():
        _check_key(key)
        if isinstance(label, tuple):
            if not 1 <= len(label) <= LABEL_TEXTS_MAX:
                raise ValueError(f"a label has from 1 to {LABEL_TEXTS_MAX} texts")
            _check_texts(label)
        elif not math.isfinite(label):
            raise ValueError("the number of a label is finite")


def _check_texts(texts: Iterable[str]) -> None:
    if any(len(text) > LABEL_CHARS_MAX or not _is_text(text) for text in texts):
        raise ValueError(f"a text of a label has at most {LABEL_CHARS_MAX} characters")


def _check_key(key: str) -> None:
    if _KEY.fullmatch(key) is None:
        raise ValueError("not the name of a label")


def _is_text(text: str) -> bool:
    """Half a surrogate has no bytes, and some servers end a text at its first zero."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
