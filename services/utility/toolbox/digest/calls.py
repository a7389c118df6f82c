"""The digest part of the service: messages in, messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from services.utility.toolbox import offload
from services.utility.toolbox.digest import digests
from services.utility.toolbox.limits import Limits, refuse_above
from tandem.utility.v1 import digest_pb2 as pb
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.rpc.context import Context


class DigestCalls(rpc.ToolboxServiceServicer):
    """Digests and signatures."""

    _limits: Limits

    async def DigestBytes(
        self, request: pb.DigestBytesRequest, context: Context
    ) -> pb.DigestBytesResponse:
        size_bytes = self._content_bytes(request.content)
        algorithm = digests.Algorithm(request.algorithm)
        value = await offload.by_size(size_bytes, digests.digest, request.content, algorithm)
        return pb.DigestBytesResponse(digest=_digest(algorithm, value))

    async def DigestStream(
        self, request_iterator: AsyncIterator[pb.DigestStreamRequest], context: Context
    ) -> pb.DigestStreamResponse:
        algorithm = _opening(await anext(request_iterator, pb.DigestStreamRequest()))
        digester = digests.digester(algorithm)
        digested_bytes = 0
        async for request in request_iterator:
            if not request.HasField("content"):
                raise _disorder("only the first message names an algorithm")
            digested_bytes += len(request.content)
            refuse_above(self._limits.digest_stream_bytes_max, digested_bytes, "content")
            await offload.by_size(len(request.content), digester.update, request.content)
        return pb.DigestStreamResponse(
            digest=_digest(algorithm, digester.digest()), bytes_digested=digested_bytes
        )

    async def SignBytes(
        self, request: pb.SignBytesRequest, context: Context
    ) -> pb.SignBytesResponse:
        algorithm = digests.Algorithm(request.algorithm)
        signature = await offload.by_size(
            self._content_bytes(request.content),
            digests.sign,
            request.content,
            request.key,
            algorithm,
        )
        return pb.SignBytesResponse(signature=_digest(algorithm, signature))

    async def VerifySignature(
        self, request: pb.VerifySignatureRequest, context: Context
    ) -> pb.VerifySignatureResponse:
        valid = await offload.by_size(
            self._content_bytes(request.content),
            digests.verify,
            request.content,
            request.key,
            digests.Algorithm(request.algorithm),
            request.signature,
        )
        return pb.VerifySignatureResponse(valid=valid)

    def _content_bytes(self, content: bytes) -> int:
        refuse_above(self._limits.digest_bytes_max, len(content), "content")
        return len(content)


def _opening(first: pb.DigestStreamRequest) -> digests.Algorithm:
    if not first.HasField("algorithm"):
        raise _disorder("the first message must name the algorithm")
    return digests.Algorithm(first.algorithm)


def _disorder(message: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_STREAM_OUT_OF_ORDER, message, field="piece")


def _digest(algorithm: digests.Algorithm, value: bytes) -> pb.Digest:
    number = pb.DigestAlgorithm.ValueType(algorithm.value)
    return pb.Digest(algorithm=number, value=value, hexadecimal=value.hex())
