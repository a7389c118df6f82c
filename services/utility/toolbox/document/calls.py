"""The JSON part of the service: messages in, messages out. All of it runs in threads: the cost of
these tools depends on what a document holds, not on its size alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from google.protobuf.message import Message

from services.utility.toolbox import offload
from services.utility.toolbox.document import canonical, comparing, patches, queries, schemas
from services.utility.toolbox.document.patterns import Patterns
from services.utility.toolbox.document.values import Budget, dump, parse
from services.utility.toolbox.limits import Limits, refuse_above
from tandem.utility.v1 import json_document_pb2 as pb
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.rpc.context import Context

T = TypeVar("T")
M = TypeVar("M", bound=Message)

VIOLATIONS_DEFAULT = 100
NODES_DEFAULT = 100
_VALUED = (patches.Step.ADD, patches.Step.REPLACE, patches.Step.TEST)


class DocumentCalls(rpc.ToolboxServiceServicer):
    """JSON documents."""

    _limits: Limits

    async def ValidateDocument(
        self, request: pb.ValidateDocumentRequest, context: Context
    ) -> pb.ValidateDocumentResponse:
        return await offload.in_thread(_validate, request, self._limits)

    async def QueryDocument(
        self, request: pb.QueryDocumentRequest, context: Context
    ) -> pb.QueryDocumentResponse:
        return await offload.in_thread(_query, request, self._limits)

    async def PatchDocument(
        self, request: pb.PatchDocumentRequest, context: Context
    ) -> pb.PatchDocumentResponse:
        return await offload.in_thread(_patch, request, self._limits)

    async def DiffDocuments(
        self, request: pb.DiffDocumentsRequest, context: Context
    ) -> pb.DiffDocumentsResponse:
        return await offload.in_thread(_diff, request, self._limits)

    async def CanonicalizeDocument(
        self, request: pb.CanonicalizeDocumentRequest, context: Context
    ) -> pb.CanonicalizeDocumentResponse:
        return await offload.in_thread(_canonicalize, request, self._limits)


def _validate(request: pb.ValidateDocumentRequest, limits: Limits) -> pb.ValidateDocumentResponse:
    budget = Budget(limits.document_steps_max)
    patterns = Patterns(budget, memory_bytes_max=limits.pattern_memory_bytes_max, field="schema")
    document = parse(request.document, limits, field="document")
    schema = parse(request.schema, limits, field="schema")
    count_max = request.violations_max or VIOLATIONS_DEFAULT
    violations = map(_violation, schemas.violations(document, schema, patterns, budget))
    found, truncated = _first(_measured(violations, limits, "violations_max"), count_max)
    return pb.ValidateDocumentResponse(violations=found, valid=not found, truncated=truncated)


def _violation(found: schemas.Violation) -> pb.SchemaViolation:
    return pb.SchemaViolation(
        instance_pointer=found.instance_pointer,
        schema_pointer=found.schema_pointer,
        keyword=found.keyword,
        description=found.description,
    )


def _query(request: pb.QueryDocumentRequest, limits: Limits) -> pb.QueryDocumentResponse:
    budget = Budget(limits.document_steps_max)
    patterns = Patterns(budget, memory_bytes_max=limits.pattern_memory_bytes_max, field="query")
    document = parse(request.document, limits, field="document")
    nodes = map(_node, queries.select(document, request.query, patterns, budget))
    found, truncated = _first(
        _measured(nodes, limits, "nodes_max"), request.nodes_max or NODES_DEFAULT
    )
    return pb.QueryDocumentResponse(nodes=found, truncated=truncated)


def _node(found: queries.Node) -> pb.DocumentNode:
    return pb.DocumentNode(path=found.path, document=dump(found.value))


def _patch(request: pb.PatchDocumentRequest, limits: Limits) -> pb.PatchDocumentResponse:
    document = parse(request.document, limits, field="document")
    if request.HasField("merge_patch"):
        patch = parse(request.merge_patch, limits, field="merge_patch")
        patched = patches.merge(document, patch)
    else:
        budget = Budget(limits.document_steps_max)
        operations = [_operation(step, limits) for step in request.patch.operations]
        patched = patches.apply(document, operations, budget, limits.document_depth_max)
    text = dump(patched)
    refuse_above(limits.document_bytes_max, len(text.encode()), "document")
    return pb.PatchDocumentResponse(document=text)


def _operation(message: pb.PatchOperation, limits: Limits) -> patches.Operation:
    step = patches.Step(message.type)
    return patches.Operation(
        step=step,
        path=patches.pointer_path(message.path),
        source=patches.pointer_path(message.source),
        value=parse(message.value, limits, field="patch") if step in _VALUED else None,
    )


def _diff(request: pb.DiffDocumentsRequest, limits: Limits) -> pb.DiffDocumentsResponse:
    before = parse(request.before, limits, field="before")
    after = parse(request.after, limits, field="after")
    changes = comparing.difference(before, after, Budget(limits.document_steps_max))
    operations = _measured(map(_change, changes), limits, "after")
    return pb.DiffDocumentsResponse(patch=pb.DocumentPatch(operations=operations))


def _change(change: patches.Operation) -> pb.PatchOperation:
    return pb.PatchOperation(
        type=pb.PatchOperationType.ValueType(change.step.value),
        path=patches.pointer(change.path),
        value=dump(change.value) if change.step in _VALUED else "",
    )


def _canonicalize(
    request: pb.CanonicalizeDocumentRequest, limits: Limits
) -> pb.CanonicalizeDocumentResponse:
    document = parse(request.document, limits, field="document")
    return pb.CanonicalizeDocumentResponse(document=canonical.canonicalize(document))


def _measured(messages: Iterable[M], limits: Limits, field: str) -> Iterator[M]:
    """The messages, counted as they are made: each may repeat a path as long as the document."""
    size_bytes = 0
    for message in messages:
        size_bytes += message.ByteSize()
        refuse_above(limits.document_bytes_max, size_bytes, field)
        yield message


def _first(items: Iterator[T], count_max: int) -> tuple[list[T], bool]:
    """The first items, and whether there are more."""
    found = list(islice(items, count_max + 1))
    return found[:count_max], len(found) > count_max
