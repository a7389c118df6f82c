"""Connections that pass by the mesh: sockets, channels and clients made by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tandemkit.audit.syntax import Module

# Whole packages that move messages between processes.
_PACKAGES = frozenset(
    {
        "nanomsg",
        "pynng",
        "Pyro4",
        "Pyro5",
        "rpyc",
        "thrift",
        "zerorpc",
        "zmq",
    }
)
_CALLS = frozenset(
    {
        "aiohttp.ClientSession",
        "asyncio.open_connection",
        "asyncio.open_unix_connection",
        "grpc.aio.insecure_channel",
        "grpc.aio.secure_channel",
        "grpc.insecure_channel",
        "grpc.secure_channel",
        "http.client.HTTPConnection",
        "http.client.HTTPSConnection",
        "httpx.AsyncClient",
        "httpx.Client",
        "multiprocessing.connection.Client",
        "requests.Session",
        "requests.session",
        "socket.create_connection",
        "socket.socket",
        "urllib.request.urlopen",
        "websockets.connect",
        "xmlrpc.client.ServerProxy",
    }
)
_ONE_SHOT = re.compile(r"(requests|httpx)\.(get|post|put|patch|delete|head|options|request|stream)")


def connections(module: Module) -> Iterator[tuple[int, str]]:
    """Line and name of each: a package imported once is found once."""
    found: set[str] = set()
    for item in module.imports:
        package = item.origin.split(".")[0]
        if package in _PACKAGES and package not in found:
            found.add(package)
            yield item.line, package
    for call in module.of(ast.Call):
        name = module.qualified(call.func)
        if name in _CALLS or _ONE_SHOT.fullmatch(name):
            yield call.lineno, name
