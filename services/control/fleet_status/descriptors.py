"""A stored contract, read back: descriptors of agents whose stubs this process does not have."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.snapshot import generation
from tandemkit.mesh.validation import objections
from tandemkit.rpc.contract import Contract

_SCHEMA = FileDescriptorSet.DESCRIPTOR.full_name
# Each rollout of a file needs another; the oldest are no longer added to.
_POOLS_MAX = 8


class BrokenContract(Exception):
    """It cannot be used; the message says why."""


class Shelf:
    """Contracts in as few pools of descriptors as they fit into: most of a contract is what it
    imports, half a megabyte that all of them have in common. Where two have a file in two versions,
    each gets its own in another pool. A pool lives as long as a contract in it is in use.
    """

    def __init__(self) -> None:
        self._pools: deque[_Pool] = deque(maxlen=_POOLS_MAX)

    def contract(self, value: pb.StoredValue, digest: str, service: str) -> Contract:
        """The contract of `service`. Its options can be read whatever pool it is in, for protobuf
        reads them with the extensions that are linked in. What clients would refuse is broken too,
        for they would refuse all other agents with it.
        """
        files = _files(value, digest)
        declared = {f"{file.package}.{one.name}" for file in files for one in file.service}
        if service not in declared:
            raise BrokenContract("does not declare the service")
        try:
            contract = Contract(self._pool_with(files).FindServiceByName(service))
            made = generation(Catalogue(contracts=(contract,)), TrafficPolicy())
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenContract("is no contract") from error
        if found := objections(made.on("")):
            raise BrokenContract(found[0])
        return contract

    def _pool_with(self, files: Sequence[FileDescriptorProto]) -> Any:
        """A pool that has them all. Raises TypeError where none can."""
        written = _ordered(files)
        for pool in self._pools:
            if pool.fits(written):
                # Names that two contracts give to different things are known only now.
                with suppress(TypeError):
                    pool.add(written)
                    return pool.descriptors
        own = _Pool()
        own.add(written)
        self._pools.append(own)
        return own.descriptors


class _Pool:
    def __init__(self) -> None:
        self.descriptors: Any = DescriptorPool()
        self._files: dict[str, bytes] = {}

    def fits(self, written: Mapping[str, bytes]) -> bool:
        """Whether each of its files is new here, or the same."""
        return all(self._files.get(name, wire) == wire for name, wire in written.items())

    def add(self, written: Mapping[str, bytes]) -> None:
        """Files behind what they import."""
        for name, wire in written.items():
            if name not in self._files:
                self.descriptors.AddSerializedFile(wire)
                self._files[name] = wire


def _ordered(files: Sequence[FileDescriptorProto]) -> dict[str, bytes]:
    """As they are written, each behind what it imports. Raises TypeError where that is not there:
    another contract's would do for a pool, and may be another version.
    """
    by_name = {file.name: file for file in files}
    entered: set[str] = set()
    written: dict[str, bytes] = {}

    def enter(name: str) -> None:
        if name not in by_name:
            raise TypeError(f"{name} is imported and not there")
        if name not in entered:
            entered.add(name)
            for imported in by_name[name].dependency:
                enter(imported)
            written[name] = by_name[name].SerializeToString(deterministic=True)

    for name in by_name:
        enter(name)
    return written


def _files(value: pb.StoredValue, digest: str) -> Sequence[FileDescriptorProto]:
    if value.schema != _SCHEMA or hashlib.sha256(value.content).hexdigest() != digest:
        raise BrokenContract("is not what its digest says")
    try:
        return FileDescriptorSet.FromString(value.content).file
    except DecodeError as error:
        raise BrokenContract("is no set of files") from error
