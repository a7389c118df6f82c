"""Messages to collections of vectors and back. Contract: tandem.memory.v1.VectorStoreService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from services.memory.vector_store import names, wire
from services.memory.vector_store.collections import Collections, naming
from services.memory.vector_store.refusal import page, page_start, storing
from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1 import vector_store_service_pb2 as pb
from tandem.memory.v1 import vector_store_service_pb2_grpc as rpc
from tandemkit.hosting import access
from tandemkit.hosting.access import Right
from tandemkit.hosting.exporting import in_messages, record_of
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import fitting, fitting_page
from tandemkit.storage.vectors.protocol import Collection, Plan, Point, Query
from tandemkit.storage.vectors.wire import filter_of, space_of

_HITS, _PAGE, _PAGE_MAX = 10, 100, 1000
_AGENT: Final = pb.DESCRIPTOR.services_by_name["VectorStoreService"].full_name


class Vectors(rpc.VectorStoreServiceServicer):
    def __init__(self, collections: Collections) -> None:
        self._collections = collections

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, _context: Context
    ) -> pb.CreateCollectionResponse:
        namespace = access.check(request.namespace, Right.WRITE)
        metric, index = wire.metric_of(request.metric), wire.index_of(request.index)
        with storing():
            made = await self._collections.create(
                names.name_of(namespace, request.collection_id),
                Plan(space_of(request.space), metric, index),
            )
            told = wire.collection_message(made, await made.count())
        return pb.CreateCollectionResponse(collection=told)

    async def GetCollection(
        self, request: pb.GetCollectionRequest, _context: Context
    ) -> pb.GetCollectionResponse:
        access.check_named(request.name, Right.READ)
        with storing():
            found = await self._collections.get(request.name)
            told = wire.collection_message(found, await found.count())
        return pb.GetCollectionResponse(collection=told)

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, _context: Context
    ) -> pb.ListCollectionsResponse:
        namespace = access.check(request.namespace, Right.READ)
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        with storing():
            known = await self._collections.names(namespace)
        part = page(known, f"collections:{namespace}", token=request.page_token, size=size)
        with storing():
            found = await self._collections.plans(part.names)
        told = [wire.collection_message(one) for one in found]
        return pb.ListCollectionsResponse(collections=told, next_page_token=part.next_token)

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, _context: Context
    ) -> pb.DeleteCollectionResponse:
        access.check_named(request.name, Right.WRITE)
        with storing():
            was_there = await self._collections.drop(request.name)
        return pb.DeleteCollectionResponse(was_there=was_there)

    async def UpsertVectors(
        self, request: pb.UpsertVectorsRequest, _context: Context
    ) -> pb.UpsertVectorsResponse:
        access.check_named(request.collection, Right.WRITE)
        points = [wire.point_of(one) for one in request.points]
        with storing():
            collection = await self._collections.get(request.collection)
            await collection.upsert(points, space_of(request.space))
        return pb.UpsertVectorsResponse()

    async def DeleteVectors(
        self, request: pb.DeleteVectorsRequest, _context: Context
    ) -> pb.DeleteVectorsResponse:
        access.check_named(request.collection, Right.WRITE)
        where = filter_of(request.filter) if request.HasField("filter") else None
        with storing():
            collection = await self._collections.get(request.collection)
            deleted = await collection.delete(list(request.ids), where)
        return pb.DeleteVectorsResponse(deleted=deleted)

    async def FetchVectors(
        self, request: pb.FetchVectorsRequest, _context: Context
    ) -> pb.FetchVectorsResponse:
        access.check_named(request.collection, Right.READ)
        with storing():
            found = await (await self._collections.get(request.collection)).fetch(request.ids)
        return pb.FetchVectorsResponse(points=map(wire.point_message, found))

    async def ListVectors(
        self, request: pb.ListVectorsRequest, _context: Context
    ) -> pb.ListVectorsResponse:
        access.check_named(request.collection, Right.READ)
        asked = request.collection.encode() + request.filter.SerializeToString(deterministic=True)
        scope = f"vectors:{asked.hex()}"
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        after = page_start(request.page_token, scope)
        with storing():
            collection = await self._collections.get(request.collection)
            found = await collection.page(after, size, filter_of(request.filter))
        page = [(one.id, wire.point_message(one, with_values=request.with_values)) for one in found]
        told, token = fitting_page(page, found[-1].id if len(found) == size else "", scope)
        return pb.ListVectorsResponse(points=told, next_page_token=token)

    async def SearchVectors(
        self, request: pb.SearchVectorsRequest, _context: Context
    ) -> pb.SearchVectorsResponse:
        access.check_named(request.collection, Right.READ)
        query = Query(
            wire.values_of(request.values),
            space_of(request.space),
            request.limit or _HITS,
            filter_of(request.filter),
            request.exact,
        )
        with storing():
            found = await (await self._collections.get(request.collection)).search(query)
        return pb.SearchVectorsResponse(hits=fitting(map(wire.hit_message, found)))

    async def CountVectors(
        self, request: pb.CountVectorsRequest, _context: Context
    ) -> pb.CountVectorsResponse:
        access.check_named(request.collection, Right.READ)
        with storing():
            count = (await self._collections.get(request.collection)).count
            return pb.CountVectorsResponse(points=await count(filter_of(request.filter)))

    async def DeleteSubject(
        self, request: subjects.DeleteSubjectRequest, _context: Context
    ) -> subjects.DeleteSubjectResponse:
        namespace = access.check(request.namespace, Right.OWN)
        with storing():
            if request.whole_namespace:
                deleted = await self._collections.drop_all(namespace)
            else:
                deleted = await self._collections.forget(namespace, _is_about(request))
        return subjects.DeleteSubjectResponse(deleted=deleted, remains=self._collections.remains)

    async def ExportSubject(
        self, request: subjects.ExportSubjectRequest, _context: Context
    ) -> AsyncIterator[subjects.ExportSubjectResponse]:
        namespace = access.check(request.namespace, Right.OWN)
        about = self._collections.about(namespace, _is_about(request))
        with storing():
            async for told in in_messages(_records(about)):
                yield told


async def _records(
    about: AsyncIterator[tuple[Collection, Point]],
) -> AsyncIterator[subjects.SubjectRecord]:
    async for collection, point in about:
        told = wire.point_message(point, with_values=False)
        yield record_of(_AGENT, f"{names.told_as(collection.name)}/vectors/{point.id}", told)


def _is_about(
    request: subjects.DeleteSubjectRequest | subjects.ExportSubjectRequest,
) -> Callable[[Point], bool]:
    if request.whole_namespace:
        return lambda _point: True
    return naming(request.subject, mentions=request.mentions)
