"""What contracts say in words, for faces that show contracts to people and models."""

from __future__ import annotations

import functools

from tandemkit.core.environment import Environment
from tandemkit.written.contract_comments import Comments, image_of


@functools.cache
def comments() -> Comments:
    """Read when somebody first asks: they take 50 ms and some megabytes."""
    return Comments(image_of(Environment.read()))
