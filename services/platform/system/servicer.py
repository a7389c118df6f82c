"""Messages to the machines and back. Contract: SystemService."""

from __future__ import annotations

from services.platform.system.commands import Commands
from services.platform.system.listing import agents_of, machine_of
from services.platform.system.machines import Machines
from services.platform.system.recent import KEPT_MAX, Recent
from tandem.platform.v1 import errors_pb2 as errors
from tandem.platform.v1 import system_service_pb2 as pb
from tandem.platform.v1 import system_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.hosting.projection import Projection
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import TokenInvalid, page_of

_PAGE_DEFAULT, _PAGE_MAX = 200, 1000
_RECENT_DEFAULT = 20


class System(rpc.SystemServiceServicer):
    def __init__(self, machines: Machines, commands: Commands, recent: Projection[Recent]) -> None:
        self._machines, self._commands, self._recent = machines, commands, recent

    async def ListSystem(
        self, request: pb.ListSystemRequest, context: Context
    ) -> pb.ListSystemResponse:
        found = await self._machines.look(request.machines)
        agents = agents_of(found)
        size = min(request.page_size or _PAGE_DEFAULT, _PAGE_MAX)
        scope = f"system {' '.join(sorted(request.machines))}"
        try:
            page = page_of(sorted(agents), scope=scope, token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            message = "the page token belongs to no page of this listing"
            raise CallerError(reason, message, field="page_token") from error
        return pb.ListSystemResponse(
            agents=(agents[name] for name in page.names),
            next_page_token=page.next_token,
            machines=map(machine_of, found),
        )

    async def RunCommand(
        self, request: pb.RunCommandRequest, context: Context
    ) -> pb.RunCommandResponse:
        return await self._commands.run(request, context.peer())

    async def GetRecentCommands(
        self, request: pb.GetRecentCommandsRequest, context: Context
    ) -> pb.GetRecentCommandsResponse:
        count = min(request.commands_max or _RECENT_DEFAULT, KEPT_MAX)
        answer = pb.GetRecentCommandsResponse(commands=self._recent.state.last(count))
        if self._recent.behind_s:
            answer.behind.FromNanoseconds(int(self._recent.behind_s * 1e9))
        return answer
