"""Addresses written into sources: a machine that moves, or a second one, makes them wrong."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tandemkit.audit.sources import Source
from tandemkit.audit.syntax import Module

# Read line by line, besides Python, whose strings are looked at one by one.
_SUFFIXES = frozenset(
    {
        ".cfg",
        ".conf",
        ".env",
        ".go",
        ".ini",
        ".js",
        ".json",
        ".mjs",
        ".properties",
        ".sh",
        ".toml",
        ".ts",
        ".yaml",
        ".yml",
    }
)
_COMMENTS = ("#", "//", ";", "*", "/*")
_V4 = r"(?<![\w.])(?P<v4>\d{1,3}(?:\.\d{1,3}){3})(?![\w.]*\.\d)"
_V6 = r"\[(?P<v6>[0-9a-fA-F:]+:[0-9a-fA-F:.]*)\]"
_NAME = r"(?<=://)(?:[^\s/@\"']+@)?(?P<name>[A-Za-z][\w.-]*)(?=:\d)"
_ADDRESS = re.compile(rf"(?:{_V4}|{_V6}|{_NAME})(?::(?P<port>\d{{1,5}}))?(?!\d)")
_SCHEME = re.compile(r"[a-z][a-z0-9+]*://(?:[^\s/@\"']+@)?$")
# For documentation (RFC 5737, RFC 3849): nobody has them.
_NOBODYS = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_EXAMPLES = ("example", "example.com", "example.net", "example.org", "test", "invalid")


def addresses(source: Source) -> Iterator[tuple[int, str]]:
    """Line and text of each."""
    if source.module is not None:
        for line, text in _strings(source.module):
            yield from ((line, found) for found in _in(text))
    elif _is_configuration(source.path):
        for line, text in enumerate(source.text.splitlines(), 1):
            if not text.lstrip().startswith(_COMMENTS):
                yield from ((line, found) for found in _in(text))


def _is_configuration(path: str) -> bool:
    name = PurePosixPath(path)
    return name.suffix in _SUFFIXES or name.name.startswith((".env", "Dockerfile"))


def _strings(module: Module) -> Iterator[tuple[int, str]]:
    documents = set(map(id, _docstrings(module)))
    for constant in module.of(ast.Constant):
        if isinstance(constant.value, str) and id(constant) not in documents:
            yield constant.lineno, constant.value


def _docstrings(module: Module) -> Iterator[ast.expr]:
    for owner in (module.tree, *module.functions, *module.of(ast.ClassDef)):
        first = owner.body[0] if owner.body else None
        if isinstance(first, ast.Expr):
            yield first.value


def _in(text: str) -> Iterator[str]:
    for match in _ADDRESS.finditer(text):
        has_port = match["port"] not in {None, "0"}
        if match["name"] is not None:
            if has_port and not _is_example(match["name"]):
                yield match[0]
            continue
        begins = _SCHEME.search(text[: match.start()]) is not None
        if _is_somebodys(match["v4"] or match["v6"], has_port=has_port, begins=begins):
            yield match[0]


def _is_example(name: str) -> bool:
    return name.lower() in _EXAMPLES or name.lower().endswith(tuple(f".{one}" for one in _EXAMPLES))


def _is_somebodys(text: str, *, has_port: bool, begins: bool) -> bool:
    """A private address is always a machine of somebody's. Loopback without a port is what to
    listen on, and a public address without a port or a scheme may be a version.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    nobodys = any(address in one for one in _NOBODYS if one.version == address.version)
    if nobodys or address.is_unspecified or address.is_reserved or address.is_multicast:
        return False
    if address.is_loopback:
        return has_port
    return address.is_private or has_port or begins
