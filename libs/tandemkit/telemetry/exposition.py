"""Figures as Prometheus reads them: its text format, or OpenMetrics where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: what stands behind the family's name, and the labels in their order."""

    value: float
    labels: Mapping[str, str]
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Lines of one name and kind. A counter's name is without `_total`."""

    name: str
    kind: str
    meaning: str
    samples: Sequence[Sample]


# What somebody has to tell, each time that it is asked for.
Measure = Callable[[], Iterable[Family]]


def merged(families: Iterable[Family]) -> Iterator[Family]:
    """One of each name, as the formats ask for, with the lines of all."""
    found: dict[str, Family] = {}
    for one in families:
        known = found.get(one.name)
        samples = (*known.samples, *one.samples) if known else one.samples
        found[one.name] = replace(one, samples=samples)
    yield from found.values()


def buckets(
    labels: Mapping[str, str], bounds: Sequence[float], counts: Sequence[int], total: float
) -> Iterator[Sample]:
    """A histogram's lines. `counts` has one more than `bounds`, and each counts its own bucket."""
    below = 0
    for bound, count in zip((*map(repr, bounds), "+Inf"), counts, strict=True):
        below += count
        yield Sample(below, {**labels, "le": bound}, "_bucket")
    yield Sample(below, labels, "_count")
    yield Sample(total, labels, "_sum")


def media_type(accept: str) -> str:
    """OpenMetrics for who names it. Prometheus does, and prefers it."""
    return OPEN_METRICS if "application/openmetrics-text" in accept else PLAIN


def text_of(families: Iterable[Family], media: str) -> str:
    """The page in one of the two formats. A family without samples is not in it."""
    is_open = media == OPEN_METRICS
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        is_counter = family.kind == COUNTER
        # The older format knows a counter by its whole name.
        known = f"{family.name}_total" if is_counter and not is_open else family.name
        lines += (f"# HELP {known} {family.meaning}", f"# TYPE {known} {family.kind}")
        name = f"{family.name}_total" if is_counter else family.name
        lines += (
            f"{name}{one.suffix}{_labels(one.labels)} {one.value!r}" for one in family.samples
        )
    if is_open:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    inner = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inner}}}"
