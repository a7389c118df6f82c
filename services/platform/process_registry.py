"""Who runs under which name on this machine. Contract:
tandem.platform.v1.ProcessRegistryService.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC

from tandem.platform.config.v1 import process_registry_pb2 as cfg
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import process_registry_service_pb2 as pb
from tandem.platform.v1 import process_registry_service_pb2_grpc as rpc
from tandemkit.core import log
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, page_of
from tandemkit.storage.state.owned import State
from tandemkit.supervise.roll.hybrid import Migration
from tandemkit.supervise.roll.owners import NoSuchProcess, Owner, TooMany
from tandemkit.supervise.roll.protocol import Entry, Key
from tandemkit.supervise.roll.registry import (
    Changed,
    Event,
    Kind,
    NameTaken,
    ProcessRegistry,
    Snapshot,
)

_REGISTERED_MAX = 1000
_PAGE, _PAGE_MAX = 100, 1000
_RETRY_S = 1.0
_LOGGER = logging.getLogger("services.platform.process_registry")
_Settings = cfg.ProcessRegistrySettings
_KINDS = {
    _Settings.BACKEND_UNSPECIFIED: Kind.CACHED,
    _Settings.BACKEND_PLAIN: Kind.PLAIN,
    _Settings.BACKEND_CACHED: Kind.CACHED,
}


def process_of(entry: Entry) -> pb.Process:
    told = pb.Process(
        namespace=entry.key.namespace,
        name=entry.key.name,
        pid=entry.owner.pid,
        task=entry.owner.task,
        address=entry.address,
    )
    told.register_time.FromDatetime(entry.since)
    return told


def note_of(entry: Entry) -> pb.ProcessNote:
    started, boot = entry.owner.started_ticks, entry.owner.boot
    return pb.ProcessNote(process=process_of(entry), started_ticks=started, boot=boot)


def entry_of(note: pb.ProcessNote) -> Entry:
    said = note.process
    owner = Owner(said.pid, note.started_ticks, note.boot)
    since = said.register_time.ToDatetime(UTC)
    return Entry(Key(said.namespace, said.name), owner, since, said.address)


def _told(event: Event) -> pb.WatchProcessesResponse:
    told = pb.WatchProcessesResponse()
    if isinstance(event, Snapshot):
        told.snapshot.SetInParent()
        told.snapshot.processes.extend(map(process_of, event.entries))
    elif isinstance(event, Changed):
        told.changed.process.CopyFrom(process_of(event.entry))
    else:
        told.removed.namespace, told.removed.name = event.key
    return told


@contextmanager
def _refusals() -> Iterator[None]:
    """What the registry and the store raise, in the words of the contract."""
    try:
        yield
    except NameTaken as error:
        reason = errors.ERROR_REASON_PROCESS_NAME_TAKEN
        raise CallerError(reason, error.message, field="name", **error.metadata) from error
    except NoSuchProcess as error:
        reason = errors.ERROR_REASON_PROCESS_NOT_RUNNING
        raise CallerError(reason, error.message, field="pid", **error.metadata) from error
    except TooMany as error:
        reason = errors.ERROR_REASON_PROCESS_REGISTRY_FULL
        raise CallerError(reason, error.message, **error.metadata) from error
    except (Unreachable, Refused) as error:
        reason = errors.ERROR_REASON_PROCESS_STORE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error


class Processes(rpc.ProcessRegistryServiceServicer):
    """`machine` is whose processes they are: where the fleet keeps its state in one place, that of
    all machines lies there.
    """

    def __init__(
        self, registry: ProcessRegistry, state: State, machine: str, registered_max: int
    ) -> None:
        self._registry, self._state = registry, state
        self._notes, self._registered_max = f"names/{machine}/", registered_max

    async def RegisterProcess(
        self, request: pb.RegisterProcessRequest, _context: Context
    ) -> pb.RegisterProcessResponse:
        key = Key(request.namespace, request.name)
        with _refusals():
            if self._registry.find(*key) is None and len(self._registry) >= self._registered_max:
                message, count_max = "no more names are registered", self._registered_max
                reason = errors.ERROR_REASON_PROCESS_REGISTRY_FULL
                raise CallerError(reason, message, registered_max=count_max)
            entry = self._registry.register_process(key, request.pid, request.address)
            await self._state.put(self._noted(key), note_of(entry))
        return pb.RegisterProcessResponse(process=process_of(entry))

    async def DeregisterProcess(
        self, request: pb.DeregisterProcessRequest, _context: Context
    ) -> pb.DeregisterProcessResponse:
        key = Key(request.namespace, request.name)
        found = self._registry.find(*key)
        if found is not None and found.owner.task:
            reason = errors.ERROR_REASON_PROCESS_NOT_YOURS
            raise CallerError(reason, "the name is the host's own", field="name", **key._asdict())
        with _refusals():
            await self._state.delete(self._noted(key))
        self._registry.deregister(key)
        return pb.DeregisterProcessResponse()

    async def GetProcess(
        self, request: pb.GetProcessRequest, _context: Context
    ) -> pb.GetProcessResponse:
        found = self._registry.find(request.namespace, request.name)
        if found is None:
            reason = errors.ERROR_REASON_PROCESS_NOT_REGISTERED
            said = {"namespace": request.namespace, "name": request.name}
            raise CallerError(reason, "nobody runs under the name", field="name", **said)
        return pb.GetProcessResponse(process=process_of(found))

    async def ListProcesses(
        self, request: pb.ListProcessesRequest, _context: Context
    ) -> pb.ListProcessesResponse:
        # A space stands before all that names are made of, so this order is that of the keys.
        found = {" ".join(one.key): one for one in self._registry.listed(request.namespace)}
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        scope = f"processes:{request.namespace}"
        try:
            page = page_of(list(found), scope=scope, token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            message = "the page token belongs to no page of this listing"
            raise CallerError(reason, message, field="page_token") from error
        processes = [process_of(found[name]) for name in page.names]
        return pb.ListProcessesResponse(processes=processes, next_page_token=page.next_token)

    async def WatchProcesses(
        self, request: pb.WatchProcessesRequest, _context: Context
    ) -> AsyncIterator[pb.WatchProcessesResponse]:
        async with aclosing(self._registry.watch(request.namespace)) as events:
            async for event in events:
                yield _told(event)

    async def restore(self) -> None:
        """Gives those their names back who still run; the notes of the others go."""
        over: list[str] = []
        async for place, note in self._state.all(self._notes, pb.ProcessNote):
            try:
                self._registry.restore(entry_of(note))
            except (NoSuchProcess, NameTaken):
                over.append(place)
        for place in over:
            await self._state.delete(place)
        log.event(_LOGGER, logging.INFO, "processes.restored", over=len(over))

    async def forget(self) -> None:
        """Drops the note of whoever is over, until cancelled: a note that a crash leaves behind
        does no harm, as its process is looked for before it counts.
        """
        async with aclosing(self._registry.watch()) as events:
            async for event in events:
                if not isinstance(event, Snapshot | Changed):
                    await self._drop(event.key)

    async def _drop(self, key: Key) -> None:
        if self._registry.find(*key) is not None:
            return  # somebody has it again, whose note is newer
        try:
            await self._state.delete(self._noted(key))
        except (Unreachable, Refused) as error:
            log.event(_LOGGER, logging.WARNING, "processes.note_left", cause=str(error))

    def _noted(self, key: Key) -> str:
        return f"{self._notes}{key.namespace}/{key.name}"


@asynccontextmanager
async def build(scope: Scope, settings: cfg.ProcessRegistrySettings) -> AsyncIterator[Processes]:
    migration = None
    if settings.HasField("migration"):
        said = settings.migration
        migration = Migration(said.owner, said.end_time.ToDatetime(UTC))
    scope.processes.use(_KINDS[settings.backend], migration)
    scope.ready_when(scope.processes.check)
    state = await scope.state()
    registered_max = settings.registered_max or _REGISTERED_MAX
    found = Processes(scope.processes, state, scope.where.machine, registered_max)
    await found.restore()
    scope.spawn("notes", found.forget())
    yield found


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.ProcessRegistrySettings, build=build)
main = AGENT.main
