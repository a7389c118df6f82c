"""Quotes where there is no language model, held to the suite: with what a knowledge base says."""

from __future__ import annotations

import pytest

from tandem.models.v1 import chat_pb2 as chat
from tandemkit.ml.generation.quotes import MODEL, Quoted, QuotesBackend
from tests.contract.models.suite import BackendSuite, Subject


async def _ask(question: str, _namespace: str) -> Quoted:
    text = f"A leak of the pump is closed with wax, they say when asked: {question} [1]"
    return Quoted(text, [chat.QuotedSource(number=1, name="pumps", quote=text)])


class TestQuotes(BackendSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(QuotesBackend(_ask), MODEL)
