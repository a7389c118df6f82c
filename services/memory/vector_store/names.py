"""Names of collections: what calls name `namespaces/a/collections/b` is kept as `a.b`."""

from __future__ import annotations

_PREFIX, _PART = "namespaces/", "/collections/"


def kept_as(name: str) -> str:
    namespace, _, one = name.removeprefix(_PREFIX).partition(_PART)
    return f"{namespace}.{one}"


def name_of(namespace: str, one: str) -> str:
    return f"{_PREFIX}{namespace}{_PART}{one}"


def told_as(kept: str) -> str:
    return name_of(*kept.split(".", 1))


def is_in(kept: str, namespace: str) -> bool:
    return kept.startswith(f"{namespace}.")
