"""Messages to rules, deletions and exports, and back. Contract: NamespaceService."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

from services.memory.namespace.deletions import PREFIX, Deletions, digest_of
from services.memory.namespace.exporting import Export
from services.memory.namespace.ledger import PREFIX as NAMESPACES
from services.memory.namespace.ledger import Ledger, Order, named_in
from tandem.memory.v1 import deletion_pb2 as deletion
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import namespace_pb2 as nouns
from tandem.memory.v1 import namespace_service_pb2 as pb
from tandem.memory.v1 import namespace_service_pb2_grpc as rpc
from tandem.memory.v1 import subject_pb2 as subject
from tandemkit.hosting import access, refusing
from tandemkit.hosting.access import Right, Rules
from tandemkit.hosting.chronicle import version_of
from tandemkit.rpc.callers import CALLERS
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import fitting_page

_PAGE_SIZE, _PAGE_SIZE_MAX = 50, 200
_CHANGES_PAGE, _CHANGES_PAGE_MAX = 20, 100
# Versions are listed from the latest down, and pages go by names that rise.
_CEILING = 10**15
_PAGE = partial(refusing.page, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)
_storing = partial(
    refusing.storing, errors.ERROR_REASON_STORE_UNREACHABLE, errors.ERROR_REASON_STORE_DAMAGED
)
_ID_BYTES = 8


class Namespaces(rpc.NamespaceServiceServicer):
    def __init__(self, ledger: Ledger, deletions: Deletions, export: Export) -> None:
        self._ledger, self._deletions, self._export = ledger, deletions, export

    async def PutNamespace(
        self, request: pb.PutNamespaceRequest, _context: Context
    ) -> pb.PutNamespaceResponse:
        access.check_named(request.namespace.name, Right.OWN)
        expected = request.expected_version if request.HasField("expected_version") else None
        order = Order(request.namespace.name, access.caller(), expected)
        return pb.PutNamespaceResponse(version=await self._ledger.put(order, request.namespace))

    async def GetNamespace(
        self, request: pb.GetNamespaceRequest, _context: Context
    ) -> pb.GetNamespaceResponse:
        name = access.check_named(request.name, Right.READ)
        record, who = await self._ledger.current(), access.caller()
        rules = Rules(record)
        own = named_in(record, request.name)
        found = own or nouns.Namespace(name=request.name, rules=rules.unruled)
        return pb.GetNamespaceResponse(
            namespace=found,
            has_rules=own is not None,
            right=nouns.Right.ValueType(rules.right(who, name)),
            caller=who,
            version=version_of(record),
        )

    async def ListNamespaces(
        self, request: pb.ListNamespacesRequest, _context: Context
    ) -> pb.ListNamespacesResponse:
        record, who = await self._ledger.current(), access.caller()
        rules = Rules(record)
        seen = {
            one.name: one
            for one in record.namespaces
            if rules.right(who, one.name.removeprefix(NAMESPACES)) >= Right.READ
        }
        size = min(request.page_size or _PAGE_SIZE, _PAGE_SIZE_MAX)
        scope = f"namespaces:{who}"
        page = _PAGE(list(seen), scope, request.page_token, size)
        told, token = fitting_page([(name, seen[name]) for name in page.names], page.last, scope)
        return pb.ListNamespacesResponse(
            namespaces=told, next_page_token=token, unruled=rules.unruled
        )

    async def DeleteNamespace(
        self, request: pb.DeleteNamespaceRequest, _context: Context
    ) -> pb.DeleteNamespaceResponse:
        name = access.check_named(request.name, Right.OWN)
        wanted = _wanted(name, request.request_id)
        wanted.whole_namespace = True
        with _storing():
            return pb.DeleteNamespaceResponse(deletion=await self._deletions.begin(wanted))

    async def ListAccessChanges(
        self, request: pb.ListAccessChangesRequest, _context: Context
    ) -> pb.ListAccessChangesResponse:
        access.check_fleet()
        records = self._ledger.records
        names = [f"{_CEILING - version:016}" for version in await records.versions()]
        size = min(request.page_size or _CHANGES_PAGE, _CHANGES_PAGE_MAX)
        page = _PAGE(names, "changes", request.page_token, size)
        changes = await records.changes(_CEILING - int(name) for name in page.names)
        found = [(f"{_CEILING - one.version:016}", one) for one in changes]
        told, token = fitting_page(found, page.last, "changes")
        return pb.ListAccessChangesResponse(changes=told, next_page_token=token)

    async def RevokeCaller(
        self, request: pb.RevokeCallerRequest, _context: Context
    ) -> pb.RevokeCallerResponse:
        access.check_fleet()
        order = Order(f"{CALLERS}{request.caller}", access.caller())
        return pb.RevokeCallerResponse(version=await self._ledger.revoke(order))

    async def ForgetSubject(
        self, request: pb.ForgetSubjectRequest, _context: Context
    ) -> pb.ForgetSubjectResponse:
        wanted = _wanted(access.check(request.namespace, Right.OWN), request.request_id)
        wanted.subject, wanted.mentions = request.subject, request.mentions
        with _storing():
            return pb.ForgetSubjectResponse(deletion=await self._deletions.begin(wanted))

    async def GetDeletion(
        self, request: pb.GetDeletionRequest, _context: Context
    ) -> pb.GetDeletionResponse:
        return pb.GetDeletionResponse(deletion=await self._found(request.name))

    async def WatchDeletion(
        self, request: pb.WatchDeletionRequest, _context: Context
    ) -> AsyncIterator[pb.WatchDeletionResponse]:
        await self._found(request.name)
        with _storing():
            async with aclosing(self._deletions.watch(request.name)) as told:
                async for one in told:
                    yield pb.WatchDeletionResponse(deletion=one)

    async def ListDeletions(
        self, request: pb.ListDeletionsRequest, _context: Context
    ) -> pb.ListDeletionsResponse:
        namespace = access.check(request.namespace, Right.OWN)
        with _storing():
            every = {one.name: one for one in await self._deletions.all()}
        mine = [name for name, one in every.items() if one.namespace == namespace]
        size = min(request.page_size or _PAGE_SIZE, _PAGE_SIZE_MAX)
        scope, about = f"deletions:{namespace}", request.subject
        page = _PAGE(mine, scope, request.page_token, size)
        found = [(name, every[name]) for name in page.names]
        if about:
            found = [(n, o) for n, o in found if o.subject_digest == digest_of(o.salt, about)]
        told, token = fitting_page(found, page.last, scope)
        return pb.ListDeletionsResponse(deletions=told, next_page_token=token)

    async def ExcuseKeepers(
        self, request: pb.ExcuseKeepersRequest, _context: Context
    ) -> pb.ExcuseKeepersResponse:
        access.check_fleet()
        with _storing():
            found = await self._deletions.excuse(request.name, request.machine, request.agent)
        return pb.ExcuseKeepersResponse(deletion=found)

    async def ExportSubject(
        self, request: subject.ExportSubjectRequest, _context: Context
    ) -> AsyncIterator[subject.ExportSubjectResponse]:
        wanted = subject.ExportSubjectRequest()
        wanted.CopyFrom(request)
        wanted.namespace = access.check(request.namespace, Right.READ)
        with _storing():
            async with aclosing(self._export.of(wanted)) as told:
                async for one in told:
                    yield one

    async def _found(self, name: str) -> deletion.Deletion:
        with _storing():
            found = await self._deletions.get(name)
        access.check(found.namespace, Right.OWN)
        return found


def _wanted(namespace: str, request_id: str) -> deletion.Deletion:
    name = f"{PREFIX}{request_id or secrets.token_hex(_ID_BYTES)}"
    salt, who = secrets.token_bytes(16), access.caller()
    return deletion.Deletion(name=name, namespace=namespace, salt=salt, caller=who)
