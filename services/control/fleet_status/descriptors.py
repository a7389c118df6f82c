"""A stored contract, read back: descriptors of agents whose stubs this process does not have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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


class BrokenContract(Exception):
    """It cannot be used; the message says why."""


def contract_in(value: pb.StoredValue, digest: str, service: str) -> Contract:
    """The contract of `service`, in a pool of its own: another version of a file may be in use.

    Options can be read all the same, for protobuf reads them with the extensions that are linked
    in. What clients would refuse is broken too, for they would refuse all other agents with it.
    """
    if value.schema != _SCHEMA or hashlib.sha256(value.content).hexdigest() != digest:
        raise BrokenContract("is not what its digest says")
    try:
        files = FileDescriptorSet.FromString(value.content)
    except DecodeError as error:
        raise BrokenContract("is no set of files") from error
    pool: Any = DescriptorPool()
    by_name = {file.name: file for file in files.file}
    added: set[str] = set()
    try:
        for file in files.file:
            _add(file, by_name, pool, added)
        contract = Contract(pool.FindServiceByName(service))
        made = generation(Catalogue(contracts=(contract,)), TrafficPolicy())
    except KeyError as error:
        raise BrokenContract("does not declare the service") from error
    except (TypeError, ValueError) as error:
        raise BrokenContract("is no contract") from error
    if found := objections(made.on("")):
        raise BrokenContract(found[0])
    return contract


def _add(
    file: FileDescriptorProto,
    by_name: Mapping[str, FileDescriptorProto],
    pool: Any,
    added: set[str],
) -> None:
    """Behind what it imports, in whatever order the files come."""
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependency:
        if imported in by_name:
            _add(by_name[imported], by_name, pool, added)
    pool.AddSerializedFile(file.SerializeToString())
