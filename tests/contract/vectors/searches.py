"""What is found: the half of the suite that searches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tandemkit.storage.vectors.matching import fulfils
from tandemkit.storage.vectors.memory import MemoryVectors
from tandemkit.storage.vectors.protocol import (
    Condition,
    Filter,
    Metric,
    OneOf,
    Point,
    Present,
    Query,
    Within,
)
from tests.contract.vectors.points import (
    RECALL_MIN,
    SPACE,
    Case,
    clustered,
    filled,
    found,
    near,
    plan,
    point,
    vector,
)


class SearchSuite:
    @pytest.mark.parametrize("metric", Metric)
    async def test_each_metric_orders_and_scores(self, case: Case, metric: Metric) -> None:
        """More is more alike in all three."""
        target = await (await case.open()).create("one", plan(metric))
        await target.upsert([point("far", 8.0, 6.0), point("close", 1.0, 0.5)], SPACE)
        hits = await target.search(Query(vector(1.0), SPACE, 2))
        told = {hit.id: hit.score for hit in hits}
        expected = {
            Metric.COSINE: {"far": 0.8, "close": 1 / math.sqrt(1.25)},
            Metric.DOT: {"far": 8.0, "close": 1.0},
            Metric.L2: {"far": -math.sqrt(85.0), "close": -0.5},
        }[metric]
        assert told == {one: near(score) for one, score in expected.items()}
        assert [hit.id for hit in hits] == sorted(told, key=lambda one: -told[one])

    async def test_an_empty_collection_answers(self, case: Case) -> None:
        """Nothing found is an answer, and no failure."""
        target = await (await case.open()).create("one", plan())
        assert await found(target, vector(1.0), 10) == []
        assert await target.fetch(["a"]) == ()
        assert await target.page() == ()
        assert await target.count() == 0
        assert await target.delete(["a"]) == 0
        assert await target.delete(where=()) == 0

    async def test_more_hits_than_points_are_all_points(self, case: Case) -> None:
        """Also behind a filter that few fulfil."""
        target = await filled(await (await case.open()).create("one", plan()), clustered(30))
        assert len(await found(target, vector(1.0), 1000)) == 30
        few = (Condition("part", OneOf(("part1", "part2"))),)
        assert len(await found(target, vector(1.0), 1000, few)) == 6

    @pytest.mark.parametrize(
        "where",
        [
            (Condition("part", OneOf(("part1", "part7", "none"))),),
            (Condition("part", OneOf(("part1",)), negated=True),),
            (Condition("at", Within(10.0, 20.0)),),
            (Condition("at", Within(least=55.0)),),
            (Condition("at", Within(most=3.0), negated=True),),
            (Condition("extra", Present()),),
            (Condition("extra", Present(), negated=True),),
            (Condition("extra", OneOf(("b",)), negated=True), Condition("at", Within(most=40.0))),
            (Condition("extra", OneOf(("a", "b"))), Condition("part", OneOf(("part5",)))),
            (Condition("at", OneOf(("1.0",))),),
            (Condition("part", Within()),),
        ],
    )
    async def test_filters_mean_the_same_everywhere(self, case: Case, where: Filter) -> None:
        """In a search, a count, a page and a deletion; whoever lacks a label fulfils its
        negation.
        """
        points = [
            Point(
                one.id, one.values, {**one.labels, **({"extra": ("a", "b")} if n % 5 == 0 else {})}
            )
            for n, one in enumerate(clustered(60))
        ]
        target = await filled(await (await case.open()).create("one", plan()), points)
        expected = {one.id for one in points if fulfils(one.labels, where)}
        assert {*await found(target, vector(1.0), 100, where)} == expected
        assert await target.count(where) == len(expected)
        assert {one.id for one in await target.page(where=where)} == expected
        assert await target.delete(where=where) == len(expected)
        assert await target.count() == 60 - len(expected)

    async def test_m147_m148_m149_recall_against_exact_search(
        self, case: Case, record_property: Callable[[str, object], None]
    ) -> None:
        """Recall@10 of every index: unfiltered, and behind filters of one and of nine in ten."""
        points = clustered(case.many)
        exact = await filled(await MemoryVectors().create("one", plan()), points)
        store = await case.open()
        queries = [one.values + np.float32(0.05) for one in clustered(30, seed=8)]
        filters: dict[str, Filter] = {
            "of all": (),
            "of a tenth": (Condition("part", OneOf(("part3",))),),
            "of most": (Condition("part", OneOf(("part3",)), negated=True),),
        }
        for index in case.indexes:
            target = await filled(await store.create(f"by-{index}", plan(index=index)), points)
            await found(target, queries[0], 1)
            await case.settled()
            for name, where in filters.items():
                expected = [{*await found(exact, one, 10, where)} for one in queries]
                told = [{*await found(target, one, 10, where)} for one in queries]
                hits = sum(len(one & two) for one, two in zip(expected, told, strict=True))
                record_property(f"recall@10 {name}, {index}", hits / (10 * len(queries)))
                assert hits >= RECALL_MIN * 10 * len(queries)

    async def test_exact_search_misses_nothing(self, case: Case) -> None:
        """Whatever the index is."""
        points = clustered(case.many // 2)
        reference = await filled(await MemoryVectors().create("one", plan()), points)
        store = await case.open()
        for index in case.indexes:
            target = await filled(await store.create(f"by-{index}", plan(index=index)), points)
            for one in clustered(5, seed=9):
                query = Query(one.values, SPACE, 10, exact=True)
                expected = await reference.search(query)
                told = await target.search(query)
                assert [hit.id for hit in told] == [hit.id for hit in expected]
                assert [hit.score for hit in told] == [near(hit.score) for hit in expected]
