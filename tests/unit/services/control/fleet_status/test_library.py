"""Contracts of many agents in one pool."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from services.control.fleet_status.library import pools_of
from tandemkit.rpc.contract import Contract

SHARED, PACKAGE = "shop.proto", "tandem.shop.v1"


def shared(*messages: str) -> FileDescriptorProto:
    file = FileDescriptorProto(name=SHARED, package=PACKAGE, syntax="proto3")
    for name in messages:
        file.message_type.add(name=name)
    return file


def contract(agent: str, asked: str, shares: FileDescriptorProto, *more: str) -> Contract:
    """As a host of some release stores it: with its own version of the file that it shares."""
    file = FileDescriptorProto(name=f"{agent}.proto", package=PACKAGE, syntax="proto3")
    file.dependency.append(SHARED)
    service = file.service.add(name=f"{agent}Service")
    for method in ("Ask", *more):
        kind = f".{PACKAGE}.{asked}"
        service.method.add(name=method, input_type=kind, output_type=kind)
    pool: Any = DescriptorPool()
    pool.AddSerializedFile(shares.SerializeToString())
    pool.AddSerializedFile(file.SerializeToString())
    return Contract(pool.FindServiceByName(f"{PACKAGE}.{agent}Service"))


OLD, NEW = shared("Item"), shared("Item", "Basket")


@pytest.mark.parametrize("turned", [False, True])
def test_a_shared_file_is_told_in_its_larger_version(turned: bool) -> None:
    """Contracts only grow, so it has what each agent needs; the order counts for nothing."""
    both = [contract("Old", "Item", OLD), contract("New", "Basket", NEW)]
    pools: Any = pools_of(reversed(both) if turned else both)
    (pool,) = pools
    assert len(pool.FindFileByName(SHARED).message_types_by_name) == 2
    for agent in ("Old", "New"):
        found = pool.FindServiceByName(f"{PACKAGE}.{agent}Service")
        assert found.file.dependencies[0] is pool.FindFileByName(SHARED)


def test_what_fits_with_nothing_else_is_told_alone() -> None:
    """A file that broke its promise to grow only costs no agent its description."""
    broken = shared("Item", *(f"Other{number}" for number in range(9)))
    odd, well = contract("Odd", "Item", broken), contract("Well", "Basket", NEW)
    pools: Any = pools_of([odd, well])
    assert len(pools) == 2
    first, own = pools
    first.FindServiceByName(f"{PACKAGE}.OddService")
    own.FindServiceByName(f"{PACKAGE}.WellService")


def test_no_contracts_are_an_empty_pool() -> None:
    """A control that knows nobody describes nobody."""
    pools: Any = pools_of([])
    (pool,) = pools
    with pytest.raises(KeyError):
        pool.FindFileByName(SHARED)
