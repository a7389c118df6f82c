"""The contracts of a host's agents, as control keeps them for whoever has no stubs: routes and
reflection of the whole fleet are made from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core.errors import Failure
from tandemkit.registry.protocol import VALUE_BYTES_MAX
from tandemkit.rpc.contract import with_imports

_PREFIX = "contracts/"
STORE_WITHIN_S = 5.0


class ContractTooLarge(Failure):
    """The contract and all that it imports do not fit into one value of a registry."""


@dataclass(frozen=True, slots=True)
class StoredContract:
    """A file with all that it imports, each file behind those that it needs."""

    digest: str
    value: pb.StoredValue

    @classmethod
    def of(cls, file: FileDescriptor) -> StoredContract:
        files = FileDescriptorSet()
        for one in with_imports(file):
            files.file.add().ParseFromString(one.serialized_pb)
        content = files.SerializeToString(deterministic=True)
        value = pb.StoredValue(schema=FileDescriptorSet.DESCRIPTOR.full_name, content=content)
        if value.ByteSize() > VALUE_BYTES_MAX:
            raise ContractTooLarge(
                "a contract with its imports exceeds what a registry stores",
                contract=file.name,
                size_bytes=value.ByteSize(),
                bytes_max=VALUE_BYTES_MAX,
            )
        return cls(hashlib.sha256(content).hexdigest(), value)


class Contracts:
    """Those that a host told of so far, each made once."""

    def __init__(self) -> None:
        self._by_file: dict[str, StoredContract] = {}

    def of(self, file: FileDescriptor) -> StoredContract:
        found = self._by_file.get(file.name)
        if found is None:
            found = self._by_file[file.name] = StoredContract.of(file)
        return found

    def known(self) -> tuple[StoredContract, ...]:
        """All of them."""
        return tuple(self._by_file.values())


async def keep_contracts(
    stub: rpc.RegistryServiceAsyncStub,
    contracts: Iterable[StoredContract],
    within_s: float = STORE_WITHIN_S,
) -> None:
    """Stores what is not there yet, each within so much time. A digest names one content, so what
    is there is right.
    """
    for one in contracts:
        key = f"{_PREFIX}{one.digest}"
        request = pb.PutValueRequest(key=key, value=one.value, expected_version=0)
        try:
            await stub.PutValue(request, timeout=within_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ABORTED:
                raise
