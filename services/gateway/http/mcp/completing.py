"""`completion/complete`: the namespaces and names that an argument may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.gateway.http.mcp import jsonrpc
from services.gateway.http.mcp.exchange import Exchange
from services.gateway.http.mcp.jsonrpc import INVALID_PARAMS, Fault
from services.gateway.http.mcp.resources import KINDS, SCHEME, Resources

# The protocol's own limit.
_VALUES_MAX: Final = 100


async def completed(exchange: Exchange, resources: Resources) -> dict[str, Any]:
    """Raises Fault and Denied."""
    about = jsonrpc.object_of(exchange.params, "ref")
    argument = jsonrpc.object_of(exchange.params, "argument")
    name = jsonrpc.text_of(argument, "name")
    begun = jsonrpc.text_of(argument, "value")
    if about.get("type") not in {"ref/prompt", "ref/resource"}:
        raise Fault(INVALID_PARAMS, "`ref.type` is ref/prompt or ref/resource")
    if name == "namespace":
        return _values(await resources.namespaces(exchange.asked), begun)
    kind = next((one for one in KINDS.values() if one.one == name), None)
    if kind is None or not str(about.get("uri", "")).startswith(SCHEME):
        # Free text, such as a question.
        return _values((), begun)
    context = jsonrpc.object_of(exchange.params, "context")
    given = jsonrpc.object_of(context, "arguments")
    namespace = jsonrpc.text_of(given, "namespace", default="")
    return _values(await resources.names(exchange.asked, kind.collection, namespace), begun)


def _values(known: Sequence[str], begun: str) -> dict[str, Any]:
    found = [one for one in known if one.startswith(begun)]
    shown = found[:_VALUES_MAX]
    return {
        "completion": {"values": shown, "total": len(found), "hasMore": len(found) > len(shown)}
    }
