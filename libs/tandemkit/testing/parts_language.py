"""Real servers of language models for a test's lifetime: llama.cpp's, and Ollama."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing import llama_server
from tandemkit.testing.parts import demand, fetch, free_ports, short_folder

MODEL = "scripted"
# What an Ollama on a machine that does other work too is to be started with.
SPARING = {
    "OLLAMA_NUM_PARALLEL": "1",
    "OLLAMA_MAX_LOADED_MODELS": "1",
    "OLLAMA_KEEP_ALIVE": "30s",
}
# As a conversation becomes a prompt at Ollama, which also looks here for how a call is said.
TEMPLATE = (
    "{{ if .Tools }}tools: {{ .Tools }}\n{{ end }}"
    "{{ range .Messages }}{{ .Role }}: {{ .Content }}"
    "{{ if .ToolCalls }}{{ range .ToolCalls }}<tool_call>"
    '{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}</tool_call>'
    "{{ end }}{{ end }}\n{{ end }}assistant:"
)


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """Its OpenAI-like API lies below `url`; it has one model, called MODEL."""

    url: str
    process: Process


@asynccontextmanager
async def llama_cpp_server(model: Path, key: str = "") -> AsyncIterator[LlamaServer]:
    """For one file of a model. With a key it answers nobody else. Skips where it is absent."""
    interpreter = demand("llama-cpp")["python"]
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"

    async def ready() -> None:
        await fetch(f"{url}/health")

    program = (str(interpreter), "-I", str(Path(llama_server.__file__)))
    with short_folder() as folder:
        command = Command((*program, str(model), str(port), key), folder / "log", env={})
        async with supervised_process(command, ready=ready) as process:
            yield LlamaServer(f"{url}/v1", process)


@dataclass(frozen=True, slots=True)
class OllamaServer:
    """It has the models that it is given, and no network to pull others from."""

    url: str
    process: Process

    async def add(self, name: str, model: Path) -> None:
        """Gives it a model from a file."""
        content = await asyncio.to_thread(model.read_bytes)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        await fetch(f"{self.url}/api/blobs/{digest}", method="POST", body=content)
        files = {model.name: digest}
        await self.ask("/api/create", model=name, files=files, template=TEMPLATE, stream=False)

    async def ask(self, path: str, **body: Any) -> Any:
        """The answer to a POST; to a GET where nothing is said."""
        method, sent = ("POST", json.dumps(body).encode()) if body else ("GET", None)
        return json.loads(await fetch(self.url + path, method=method, body=sent))


@asynccontextmanager
async def ollama_server(variables: Mapping[str, str] | None = None) -> AsyncIterator[OllamaServer]:
    """Without models, in a home of its own, sparing unless `variables` say otherwise. Skips where
    Ollama is absent.
    """
    program = demand("ollama")["ollama"]
    port, nobody = free_ports(2)
    url = f"http://127.0.0.1:{port}"

    async def ready() -> None:
        await fetch(f"{url}/api/version")

    with short_folder() as folder:
        env = {
            "HOME": str(folder),
            "PATH": Environment.read().path,
            "OLLAMA_HOST": f"127.0.0.1:{port}",
            # A pull fails at once.
            "HTTPS_PROXY": f"http://127.0.0.1:{nobody}",
            **SPARING,
            **(variables or {}),
        }
        command = Command((str(program), "serve"), folder / "log", cwd=folder, env=env)
        async with supervised_process(command, ready=ready) as process:
            yield OllamaServer(url, process)
