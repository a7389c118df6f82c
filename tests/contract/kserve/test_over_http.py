"""Triton's own client over HTTP, unchanged, in a process and an environment of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tandemkit.ml.embedding.hashing import HashingEmbedder
from tests.contract.kserve.running import told_by
from tests.unit.services.gateway.kserve.inferring import MODEL

pytestmark = pytest.mark.real("tritonclient")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client says of everything that it was asked to do."""
    return told_by("over_http.py", tmp_path_factory.mktemp("kserve"), over_http=True)


def test_a_server_says_what_it_is(told: dict[str, Any]) -> None:
    """Numbers are numbers, and whether it lives needs no token."""
    said = told["server"]
    assert (said["live"], said["ready"], said["model_ready"]) == (True, True, [True, False])
    assert said["server"] == "tandem"
    assert said["metadata"]["outputs"] == [
        {"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}
    ]
    assert said["config"]["input"][0]["data_type"] == "TYPE_STRING"
    assert said["config"]["max_batch_size"] == 0
    assert said["index"] == {MODEL: "READY", "default": "READY", "talker/words": "READY"}


async def test_texts_come_back_as_an_array_of_vectors(told: dict[str, Any]) -> None:
    """The same numbers to the last bit, whether tensors are JSON or bytes behind it, both ways."""
    said = told["texts_of"]
    assert said["shape"] == said["later"] == [3, 384]
    wanted = await HashingEmbedder(MODEL).embed(["a pump", "größe", "wax"])
    assert said["first"] == [pytest.approx(list(one.vector[:4]), abs=1e-7) for one in wanted]
    assert said["same"] == [True, True, True]
    assert said["plain"] == {"binary_data_size": 3 * 384 * 4}
    assert (said["id"], said["version"]) == ("7", HashingEmbedder(MODEL).space.version)


def test_a_language_model_answers(told: dict[str, Any]) -> None:
    """Under a name with a slash in it, with who answered."""
    assert told["answered"]["text"] == "one two three"
    assert told["answered"]["parameters"]["backend"] == "talker"
    assert told["answered"]["parameters"]["is_generative"] is True


@pytest.mark.parametrize(
    ("attempt", "status", "words"),
    [
        ("no token", "401", "the call shows no token"),
        ("unknown model", "404", "there is no model `other`"),
        ("datatype", "400", "input `text` is FP32; it takes BYTES"),
        ("sequence", "501", "no model here keeps any"),
        ("region", "501", "no such path"),
        ("config", "501", "without `config`"),
    ],
)
def test_a_refusal_says_why(told: dict[str, Any], attempt: str, status: str, words: str) -> None:
    """By status and message."""
    said_status, said = told["refusals"][attempt]
    assert said_status == status
    assert words in said


def test_a_model_is_unloaded_and_loaded(told: dict[str, Any]) -> None:
    """And counted: six requests of three texts."""
    said = told["repository"]
    assert (said["unloaded"], said["loaded"]) == (False, True)
    assert said["counted"] == 6 * 3
