"""The promises of `tandemkit.storage.vectors.protocol`, as tests: one suite for all backends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tandemkit.storage.vectors.protocol import (
    POINTS_MAX,
    CollectionDiffers,
    CollectionMissing,
    Condition,
    Metric,
    OneOf,
    Point,
    Present,
    Query,
    Space,
    SpaceMismatch,
)
from tests.contract.vectors.points import (
    DIMENSION,
    SPACE,
    Case,
    clustered,
    filled,
    found,
    near,
    plain,
    plan,
    point,
    vector,
)
from tests.contract.vectors.searches import SearchSuite


class VectorSuite(SearchSuite):
    async def test_points_are_found_fetched_and_survive(self, case: Case) -> None:
        """Best first with the cosine as the score, labels with them, values as written."""
        target = await (await case.open()).create("texts", plan())
        await target.upsert([point("a", 2.0), point("b", 3.0, 3.0, kind=("x", "y"), at=1.5)], SPACE)
        hits = await target.search(Query(vector(1.0), SPACE, 5))
        assert [(hit.id, hit.score) for hit in hits] == [
            ("a", near(1.0)),
            ("b", near(math.sqrt(0.5))),
        ]
        assert plain(hits[1].labels) == {"kind": {"x", "y"}, "at": 1.5}
        if case.is_kept:
            target = await (await case.reopen()).open("texts")
        assert target.plan == plan()
        told = await target.fetch(["b", "nobody", "a"])
        assert [one.id for one in told] == ["b", "a"]
        assert told[0].values.dtype == np.float32
        np.testing.assert_allclose(told[0].values, vector(3.0, 3.0), rtol=1e-6)
        assert plain(told[0].labels) == {"kind": {"x", "y"}, "at": 1.5}
        assert await found(target, vector(1.0), 1) == ["a"]

    async def test_a_point_is_replaced_whole(self, case: Case) -> None:
        """Its vector and its labels; what it was is found no more."""
        target = await (await case.open()).create("one", plan())
        await target.upsert([point("a", 1.0, old=("yes",)), point("b", 0.0, 0.0, 1.0)], SPACE)
        await target.upsert([point("a", 0.0, 1.0, new=("yes",))], SPACE)
        assert await target.count() == 2
        hits = await target.search(Query(vector(0.0, 1.0), SPACE, 1))
        assert [(hit.id, hit.score, plain(hit.labels)) for hit in hits] == [
            ("a", near(1.0), {"new": {"yes"}})
        ]
        assert await target.count((Condition("old", Present()),)) == 0

    async def test_m147_m148_m149_what_is_deleted_stays_deleted(self, case: Case) -> None:
        """By id or by filter, also in a store that is opened again; absence is no error."""
        target = await filled(await (await case.open()).create("one", plan()), clustered(50))
        assert await target.delete(["p1", "p2", "nobody"]) == 2
        assert await target.delete(where=(Condition("part", OneOf(("part3",))),)) == 5
        for again in (False, True):
            if again and case.is_kept:
                target = await (await case.reopen()).open("one")
            assert await target.count() == 43
            assert await target.fetch(["p1", "p3"]) == ()
            everything = await found(target, vector(1.0), 50)
            assert len(everything) == 43
            assert not {"p1", "p2", "p3", "p13"} & {*everything}
        await target.upsert([point("p1", 1.0)], SPACE)
        assert await found(target, vector(1.0), 1) == ["p1"]
        assert await target.delete(where=()) == 44
        assert await found(target, vector(1.0), 3) == []

    async def test_vectors_of_two_spaces_are_never_mixed(self, case: Case) -> None:
        """Model, version and dimension: whoever differs in one is refused, to write and to ask."""
        store = await case.open()
        target = await store.create("one", plan())
        await target.upsert([point("a", 1.0)], SPACE)
        for other in (
            Space("other", "1", DIMENSION),
            Space("hashing", "2", DIMENSION),
            Space("hashing", "1", 8),
        ):
            values = vector(1.0, dimension=other.dimension)
            with pytest.raises(SpaceMismatch):
                await target.upsert([Point("b", values)], other)
            with pytest.raises(SpaceMismatch):
                await target.search(Query(values, other, 1))
            with pytest.raises(SpaceMismatch):
                await store.create("one", plan(space=other))
        assert await target.count() == 1

    async def test_collections_are_made_listed_and_dropped(self, case: Case) -> None:
        """Made twice they are one; dropped they are gone with all that was in them."""
        store = await case.open()
        assert await store.names() == ()
        await (await store.create("one", plan())).upsert([point("a", 1.0)], SPACE)
        again = await store.create("one", plan())
        assert await again.count() == 1
        with pytest.raises(CollectionDiffers):
            await store.create("one", plan(Metric.DOT))
        await store.create("two.b", plan(Metric.L2))
        assert await store.names() == ("one", "two.b")
        assert (await store.open("two.b")).plan == plan(Metric.L2)
        assert await store.drop("one")
        assert not await store.drop("one")
        with pytest.raises(CollectionMissing):
            await store.open("one")
        with pytest.raises(CollectionMissing):
            await again.upsert([point("a", 1.0)], SPACE)
        with pytest.raises(CollectionMissing):
            await again.search(Query(vector(1.0), SPACE, 1))
        empty = await store.create("one", plan(Metric.DOT))
        assert await empty.count() == 0

    async def test_ids_and_labels_are_any_text(self, case: Case) -> None:
        """Of all scripts, with what means something in other languages."""
        ids = ["naïve", "日本語", "🙂", "a'b\"c", "a/b?c=d&e", "x" * 255, " ", "%_", "$ne"]
        target = await (await case.open()).create("one", plan())
        await target.upsert(
            [point(one, 1.0, at + 1.0, name=(one[:50],)) for at, one in enumerate(ids)], SPACE
        )
        assert [one.id for one in await target.fetch(ids)] == ids
        for one in ids:
            where = (Condition("name", OneOf((one[:50],))),)
            assert await found(target, vector(1.0), 9, where) == [one]
        paged = await target.page(limit=4)
        paged += await target.page(after=paged[-1].id)
        assert [one.id for one in paged] == sorted(ids)
        assert await target.delete(ids[:8]) == 8
        assert await found(target, vector(1.0), 9) == ["$ne"]

    async def test_what_no_store_takes_is_refused_by_all(self, case: Case) -> None:
        """Before anything is done."""
        store = await case.open()
        target = await store.create("one", plan())
        broken: list[Sequence[Point]] = [
            [],
            [point("", 1.0)],
            [point("a\0b", 1.0)],
            [point("\ud800", 1.0)],
            [point("x" * 256, 1.0)],
            [point("a", 1.0), point("a", 2.0)],
            [point("a")],
            [point("a", float("nan"))],
            [point("a", 3e38, 3e38)],
            [point("a", 1.0, **{"no key": 1.0})],
            [point("a", 1.0, at=float("inf"))],
            [point("a", 1.0, texts=())],
            [Point("a", vector(1.0, dimension=8))],
            [point(str(number), 1.0) for number in range(POINTS_MAX + 1)],
        ]
        for points in broken:
            with pytest.raises(ValueError):
                await target.upsert(points, SPACE)
        for query in (Query(vector(1.0), SPACE, 0), Query(vector(), SPACE, 1)):
            with pytest.raises(ValueError):
                await target.search(query)
        with pytest.raises(ValueError):
            await target.delete()
        with pytest.raises(ValueError):
            await target.delete(["a"], ())
        for name in ("", "A", "a/b", "a..b", "-a", "x" * 129):
            with pytest.raises(ValueError):
                await store.create(name, plan())
        assert await target.count() == 0
