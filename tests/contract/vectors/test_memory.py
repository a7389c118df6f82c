"""Vectors in memory, held to the suite: it measures the others, so it has to be right."""

from __future__ import annotations

import pytest

from tandemkit.storage.vectors.memory import MemoryVectors
from tandemkit.storage.vectors.protocol import Index, VectorStore
from tests.contract.vectors.points import Case
from tests.contract.vectors.suite import VectorSuite


class _Memory:
    is_kept = False
    indexes = (Index.AUTO,)
    many = 3000

    def __init__(self) -> None:
        self._store = MemoryVectors()

    async def open(self) -> VectorStore:
        return self._store

    async def reopen(self) -> VectorStore:
        return self._store

    async def settled(self) -> None:
        """It has none."""


class TestMemory(VectorSuite):
    @pytest.fixture
    def case(self) -> Case:
        return _Memory()
