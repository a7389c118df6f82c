"""Whoever has just started a fleet asks it how it is used, and gets an answer out of its docs."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, Checkout
from tests.repo.checkout import root

pytestmark = pytest.mark.cluster
_ASK = "tandem.memory.v1.KnowledgeBaseService/Ask"
_PAGE = "docs/questions.md"


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    """A checkout with the documents of this one."""
    with short_folder() as folder:
        # Nobody embeds yet: words are there at once.
        write_checkout(folder, (*SERVED, KNOWLEDGE))
        for name in ("README.md", "CONTRIBUTING.md"):
            shutil.copy(root() / name, folder / name)
        shutil.copytree(root() / "docs", folder / "docs")
        checkout = Checkout(folder)
        try:
            assert (await checkout.told("up", "-d"))["serving"]
            yield checkout
        finally:
            await checkout.tandem("down")


async def test_m052_a_fresh_fleet_says_how_an_agent_is_added(fleet: Checkout) -> None:
    """Rightly, with spans that exist in its documents, also after a kill -9 of its host."""
    request = json.dumps({"question": "How do I add an agent?"})

    async def answer() -> Any:
        done = await fleet.tandem("call", _ASK, request)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def is_right(told: Any) -> bool:
        # Until all pages are taken in, others answer, and rightly too.
        is_whole = told.get("isAnswered", False) and told["citations"][0]["uri"] == _PAGE
        return is_whole and "tools/new_agent.py" in told["answer"]

    told = await eventually(answer, is_right, within_s=30)
    assert told["kind"] == "ANSWER_KIND_EXTRACTIVE"
    for part in ("deploy/fleet/text.yaml", "services/text/BUILD", "summarize_service.proto"):
        assert part in told["answer"]
    for one in told["citations"]:
        text = (fleet.folder / one["uri"]).read_text("utf-8")
        start = int(one["span"].get("startChar", 0))
        assert text[start : int(one["span"]["endChar"])] == one["quote"]
    fleet.kill("agents")
    again = await eventually(answer, is_right, within_s=60)
    assert again["citations"][0]["quote"] == told["citations"][0]["quote"]
