"""The same of parts that are slow to get: absent, they skip where all is demanded, too."""

from pathlib import Path

import pytest

from tandemkit.testing.parts_language import MODEL, ollama_server
from tandemkit.testing.scripted_model import Script, write_model

pytestmark = pytest.mark.cluster
SCRIPT = "The quick brown fox jumps over the lazy dog."


async def test_ollama_says_its_script(tmp_path: Path) -> None:
    """A model that a test wrote is loaded and kept; there is no network to pull others from."""
    model = write_model(tmp_path / "model.gguf", Script(SCRIPT))
    async with ollama_server() as server:
        await server.add(MODEL, model)
        asked = {"model": MODEL, "prompt": "Well?", "options": {"num_thread": 1}, "stream": False}
        assert (await server.ask("/api/generate", **asked))["response"] == SCRIPT
        (loaded,) = (await server.ask("/api/ps"))["models"]
        assert loaded["name"] == f"{MODEL}:latest"
        with pytest.raises(ConnectionError, match="answered 500"):
            await server.ask("/api/pull", model="another", stream=False)


async def test_r096_r098_r099_ollama_is_started_sparingly() -> None:
    """It says itself what it was told: one request and one model at a time, kept for 30 s."""
    async with ollama_server() as server:
        log = server.process.command.log_path.read_text()
    (told,) = [line for line in log.splitlines() if "server config" in line]
    assert "OLLAMA_NUM_PARALLEL:1 " in told
    assert "OLLAMA_MAX_LOADED_MODELS:1 " in told
    assert "OLLAMA_KEEP_ALIVE:30s " in told
