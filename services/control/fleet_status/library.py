"""The contracts of the fleet as one pool of descriptors, for reflection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from tandemkit.rpc.contract import Contract


def pools_of(contracts: Iterable[Contract]) -> tuple[DescriptorPool, ...]:
    """All of them in the first pool, each file once. In a rollout agents may bring a file in two
    versions: the larger is told, because contracts only grow. What then fits with nothing else is
    told from the agent's own pool, which comes behind.
    """
    contracts = tuple(contracts)
    largest: dict[str, tuple[int, FileDescriptor]] = {}
    for contract in contracts:
        for file, size_bytes in contract.file_sizes:
            if size_bytes > largest.get(file.name, (-1, file))[0]:
                largest[file.name] = size_bytes, file
    files = {name: file for name, (_, file) in largest.items()}
    # A service's own file is the one that its routes are made from, whatever its size.
    files |= {contract.service.file.name: contract.service.file for contract in contracts}
    pool: Any = DescriptorPool()
    added: dict[str, bool] = {}
    for name in files:
        _add(name, files, pool, added)
    own = (one.service.file for one in contracts if not added[one.service.file.name])
    return (pool, *(file.pool for file in own))


def _add(name: str, files: dict[str, FileDescriptor], pool: Any, added: dict[str, bool]) -> bool:
    """Behind what it imports; false where it does not fit with that."""
    if name not in added:
        added[name] = False
        imported = [_add(one.name, files, pool, added) for one in files[name].dependencies]
        if all(imported):
            try:
                pool.AddSerializedFile(files[name].serialized_pb)
                pool.FindFileByName(name)
            except (KeyError, TypeError):
                return False
            added[name] = True
    return added[name]
