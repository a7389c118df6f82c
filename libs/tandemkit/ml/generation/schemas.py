"""JSON schemas that callers send along."""

from __future__ import annotations

from typing import Any

from tandemkit.core.json_value import parsed
from tandemkit.ml.generation.protocol import SchemaRefused


def schema_of(text: str, field: str) -> dict[str, Any]:
    """A schema that is an object; `field` is where it stands. Raises SchemaRefused."""
    try:
        found = parsed(text)
    except ValueError as error:
        raise SchemaRefused("a schema is no JSON", field=field, why=error) from error
    if not isinstance(found, dict):
        raise SchemaRefused("a schema is no JSON object", field=field)
    return found
