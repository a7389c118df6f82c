"""Who hears what of a snapshot."""

from __future__ import annotations

import grpc
import pytest

from tandemkit.mesh.clients import MATRIX, Feature, Language, ignored, used
from tandemkit.mesh.policy import Fault, ServicePolicy, TrafficPolicy
from tests.unit.tandemkit.mesh.meshed import ALPHA, A, snapshot

FAULTY = TrafficPolicy({ALPHA: ServicePolicy(fault=Fault(1, abort_code=14))})


def test_a_snapshot_says_what_it_asks_for() -> None:
    """All but faults as a matter of course, and those where there are any."""
    ordinary = set(Feature) - {Feature.FALLBACK, Feature.FAULT}
    assert used(snapshot(A)) == ordinary
    assert used(snapshot(A, policy=FAULTY)) == ordinary | {Feature.FAULT}


def test_the_pinned_client_honours_all_of_it() -> None:
    """Nothing that we say is lost on our own Python clients."""
    major, minor, _ = grpc.__version__.split(".", 2)
    mine = (int(major), int(minor))
    assert ignored(snapshot(A, policy=FAULTY), Language.C_CORE, mine) == frozenset()
    assert MATRIX[Feature.FALLBACK][Language.C_CORE] <= mine


@pytest.mark.parametrize(
    ("language", "version", "lost"),
    [
        (
            Language.GO,
            (1, 40),
            {Feature.RING, Feature.RETRY, Feature.EJECTION, Feature.HEADER_MATCH},
        ),
        (Language.NODE, (1, 9), {Feature.RING}),
        (Language.NODE, (1, 10), set()),
    ],
)
def test_an_older_client_passes_over_what_came_later(
    language: Language, version: tuple[int, int], lost: set[Feature]
) -> None:
    """The table is read by language and version."""
    assert lost == ignored(snapshot(A), language, version)
