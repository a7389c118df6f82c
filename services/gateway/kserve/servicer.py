"""The Open Inference Protocol over the fleet's models. Contract: inference.GRPCInferenceService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any, Final, NoReturn

from google.protobuf.message import Message

from inference import grpc_inference_service_pb2 as pb
from inference import grpc_inference_service_pb2_grpc as rpc
from inference import model_config_pb2 as configs
from services.gateway.kserve.desk import Desk
from services.gateway.kserve.ledger import Ledger
from services.gateway.kserve.models import Model
from services.gateway.kserve.refusal import RIGHTS, no_memory, no_settings, unsupported
from services.gateway.kserve.repository import Repository
from services.gateway.kserve.tensors import BYTES, Form
from tandemkit.core.errors import CallerError, Failure, TransientError
from tandemkit.core.redaction import redacted
from tandemkit.hosting import access
from tandemkit.rpc.context import Context
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.remote import CallFailed

_NAME, _PROTOCOL = "tandem", "2"
_EXTENSIONS: Final = (
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
)
_DEPENDENTS: Final = "unload_dependents"
_DATATYPES: Final = {BYTES: configs.TYPE_STRING}


def _refusing(refusal: Callable[[], CallerError]) -> Any:
    """A method that the protocol has and this server does not."""

    async def refuse(_self: Kserve, _request: Message, _context: Context) -> NoReturn:
        raise refusal()

    return refuse


_NO_MEMORY: Final = _refusing(no_memory)


class Kserve(rpc.GRPCInferenceServiceServicer):
    def __init__(self, repository: Repository, desk: Desk, ledger: Ledger) -> None:
        self._repository, self._desk, self._ledger = repository, desk, ledger

    async def ServerLive(
        self, _request: pb.ServerLiveRequest, _context: Context
    ) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(
        self, _request: pb.ServerReadyRequest, _context: Context
    ) -> pb.ServerReadyResponse:
        models = await self._repository.all()
        ready = any(not self._repository.unready_cause(one) for one in models)
        return pb.ServerReadyResponse(ready=ready)

    async def ModelReady(
        self, request: pb.ModelReadyRequest, _context: Context
    ) -> pb.ModelReadyResponse:
        try:
            found = await self._repository.find(request.name, request.version)
        except (CallerError, TransientError):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=not self._repository.unready_cause(found.model))

    async def ServerMetadata(
        self, _request: pb.ServerMetadataRequest, _context: Context
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=_NAME, version=_PROTOCOL, extensions=_EXTENSIONS)

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, _context: Context
    ) -> pb.ModelMetadataResponse:
        model = (await self._repository.find(request.name, request.version)).model
        return pb.ModelMetadataResponse(
            name=model.name,
            versions=[model.version],
            platform=model.platform,
            inputs=_metadata(model.inputs),
            outputs=_metadata(model.outputs),
        )

    async def ModelInfer(
        self, request: pb.ModelInferRequest, _context: Context
    ) -> pb.ModelInferResponse:
        with _in_their_words():
            return await self._desk.infer(request)

    async def ModelStreamInfer(
        self, requests: AsyncIterator[pb.ModelInferRequest], _context: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        async for request in requests:
            try:
                async with aclosing(self._desk.stream(request)) as answers:
                    async for answer in answers:
                        yield pb.ModelStreamInferResponse(infer_response=answer)
            except (CallerError, TransientError, CallFailed) as error:
                yield _failed(request, error)

    async def ModelConfig(
        self, request: pb.ModelConfigRequest, _context: Context
    ) -> pb.ModelConfigResponse:
        model = (await self._repository.find(request.name, request.version)).model
        return pb.ModelConfigResponse(config=_config(model))

    async def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, _context: Context
    ) -> pb.ModelStatisticsResponse:
        access.check_fleet(RIGHTS)
        name, version = request.name, request.version
        if name:
            # Also one that nobody has asked yet has its account.
            model = (await self._repository.find(name, version)).model
            self._ledger.account(model.name, model.version)
        return pb.ModelStatisticsResponse(model_stats=self._ledger.told(name, version))

    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, _context: Context
    ) -> pb.RepositoryIndexResponse:
        response = pb.RepositoryIndexResponse()
        for model in await self._repository.all():
            why = self._repository.unready_cause(model)
            if not (request.ready and why):
                state = "UNAVAILABLE" if why else "READY"
                response.models.add(name=model.name, version=model.version, state=state, reason=why)
        return response

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, _context: Context
    ) -> pb.RepositoryModelLoadResponse:
        access.check_fleet(RIGHTS)
        for name in request.parameters:
            raise unsupported(f"models are loaded as they are, without `{name}`", name)
        with _in_their_words():
            await self._repository.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, _context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        access.check_fleet(RIGHTS)
        for name in request.parameters:
            if name != _DEPENDENTS:
                raise unsupported(f"models are unloaded without `{name}`", name)
        await self._repository.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    SystemSharedMemoryStatus = SystemSharedMemoryRegister = _NO_MEMORY
    SystemSharedMemoryUnregister = CudaSharedMemoryStatus = _NO_MEMORY
    CudaSharedMemoryRegister = CudaSharedMemoryUnregister = _NO_MEMORY
    TraceSetting = LogSettings = _refusing(no_settings)


@contextmanager
def _in_their_words() -> Iterator[None]:
    """What the agent behind a model says of its failure is more than that it failed. Who called us
    must not try again: our own call was.
    """
    try:
        yield
    except CallFailed as error:
        raise Refused(replace(error.found.as_said, final=True)) from error


def _failed(request: pb.ModelInferRequest, error: Failure) -> pb.ModelStreamInferResponse:
    said = error.found.words if isinstance(error, CallFailed) else error.message
    about = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    return pb.ModelStreamInferResponse(error_message=redacted(said), infer_response=about)


def _metadata(forms: Iterable[Form]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    return [
        pb.ModelMetadataResponse.TensorMetadata(
            name=one.name, datatype=one.datatype, shape=one.shape
        )
        for one in forms
    ]


def _config(model: Model) -> configs.ModelConfig:
    return configs.ModelConfig(
        name=model.name,
        platform=model.platform,
        backend=model.platform,
        input=(
            configs.ModelInput(
                name=one.name,
                data_type=_datatype(one),
                dims=one.shape,
                optional=one.is_optional,
            )
            for one in model.inputs
        ),
        output=(
            configs.ModelOutput(name=one.name, data_type=_datatype(one), dims=one.shape)
            for one in model.outputs
        ),
        model_transaction_policy=configs.ModelTransactionPolicy(decoupled=model.is_decoupled),
    )


def _datatype(form: Form) -> configs.DataType.ValueType:
    return _DATATYPES.get(form.datatype) or configs.DataType.Value(f"TYPE_{form.datatype}")
