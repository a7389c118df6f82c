"""The backends that the settings name."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from services.models.model.catalog import EXTRACTIVE, Catalog
from services.models.model.place import AT_ONCE, NO_END, Place, Terms
from tandem.models.config.v1 import model_pb2 as cfg
from tandemkit.core import log
from tandemkit.hosting.entrusted import FollowedSecret
from tandemkit.hosting.scope import Scope
from tandemkit.ml.generation.ollama import USUAL_ADDRESS, Wishes, ollama_backend
from tandemkit.ml.generation.openai import openai_backend
from tandemkit.ml.generation.openai_form import KEY_MISSING, key_hint
from tandemkit.ml.generation.protocol import Backend
from tandemkit.ml.generation.quotes import MODEL, Ask, QuotesBackend
from tandemkit.ml.servers.server import Server

_LOGGER: Final = logging.getLogger("tandem.models")
_SILENCE_S: Final = 60.0
_OLLAMA_SILENCE_S: Final = 300.0
_CONNECT_S: Final = 5.0
_OLLAMA: Final = "ollama"
_QUOTES_AT_ONCE: Final = 64


@asynccontextmanager
async def catalog(settings: cfg.ModelSettings, scope: Scope, ask: Ask) -> AsyncIterator[Catalog]:
    """Quotes, which `ask` gives, come last."""
    async with AsyncExitStack() as stack:
        places: dict[str, Place] = {}
        for said in settings.backends:
            key = _key(said, scope)
            if key is not None and not key.is_there:
                hint = key_hint(key.name)
                log.event(
                    _LOGGER, logging.WARNING, "models.key_missing",
                    backend=said.name, cause=KEY_MISSING, secret=key.name, hint=hint,
                )  # fmt: skip
            backend = await stack.enter_async_context(_backend(said, key, scope))
            places[said.name] = Place(_terms(said, key), backend, scope.clock)
        if not (settings.without_usual_ollama or _OLLAMA in places):
            usual = _sparing(settings.usual_ollama)
            backend = await stack.enter_async_context(_ollama(usual, scope))
            terms = Terms(_OLLAMA, AT_ONCE, list(usual.models), patience=NO_END, is_optional=True)
            places[_OLLAMA] = Place(terms, backend, scope.clock)
        quotes = Terms(EXTRACTIVE, _QUOTES_AT_ONCE, (MODEL,), patience=NO_END)
        places[EXTRACTIVE] = Place(quotes, QuotesBackend(ask), scope.clock)
        for place in places.values():
            stack.push_async_callback(place.end)
        yield Catalog(places, {one.name: list(one.answerers) for one in settings.names})


def _key(said: cfg.ModelBackendSettings, scope: Scope) -> FollowedSecret | None:
    return scope.secret(said.openai.key_secret) if said.openai.key_secret else None


def _terms(said: cfg.ModelBackendSettings, key: FollowedSecret | None) -> Terms:
    has_key: Callable[[], bool] = (lambda: True) if key is None else lambda: key.is_there
    models = said.ollama.models if said.HasField("ollama") else said.openai.models
    return Terms(said.name, said.at_once_max or AT_ONCE, list(models), has_key)


def _backend(
    said: cfg.ModelBackendSettings, key: FollowedSecret | None, scope: Scope
) -> AbstractAsyncContextManager[Backend]:
    if said.HasField("ollama"):
        return _ollama(said.ollama, scope)
    wanted = said.openai
    silence_s = wanted.silence_max.ToTimedelta().total_seconds() or _SILENCE_S
    server = Server(
        base_url=wanted.base_url.rstrip("/"),
        within_s=None,
        key=key.reveal if key else None,
        silence_s=silence_s,
        connect_s=min(_CONNECT_S, silence_s),
    )
    return openai_backend(server, scope.clock, keeps_seed=not wanted.without_seed)


def _sparing(usual: cfg.OllamaBackendSettings) -> cfg.OllamaBackendSettings:
    """It runs on this machine. Its threads wait for each other with every word: where they are more
    than cores, most of the time.
    """
    found = cfg.OllamaBackendSettings()
    found.CopyFrom(usual)
    if usual.HasField("threads"):
        found.threads = min(usual.threads, os.cpu_count() or 1)
    return found


def _ollama(
    wanted: cfg.OllamaBackendSettings, scope: Scope
) -> AbstractAsyncContextManager[Backend]:
    silence_s = wanted.silence_max.ToTimedelta().total_seconds() or _OLLAMA_SILENCE_S
    address = wanted.base_url.rstrip("/") or USUAL_ADDRESS
    server = Server(address, None, silence_s=silence_s, connect_s=min(_CONNECT_S, silence_s))
    wishes = Wishes(
        threads=wanted.threads if wanted.HasField("threads") else None,
        gpu_layers=wanted.gpu_layers if wanted.HasField("gpu_layers") else None,
        context_tokens=wanted.context_tokens if wanted.HasField("context_tokens") else None,
        keep_alive=wanted.keep_alive.ToJsonString() if wanted.HasField("keep_alive") else "",
        leaves_out_oldest=wanted.leaves_out_oldest,
    )
    return ollama_backend(server, wishes, scope.clock)
