"""The real parts, as fixtures, and a way to say what was counted."""

import sys
from collections.abc import Callable

import pytest

from tandemkit.testing.parts_fixtures import (
    consul,
    envoy,
    nats,
    postgres,
    prometheus,
    rabbitmq,
    redis,
)

__all__ = ["consul", "envoy", "nats", "postgres", "prometheus", "rabbitmq", "redis"]

Tell = Callable[[str, object], None]


@pytest.fixture
def tell(
    capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> Tell:
    """Says a result aloud, and keeps it in the report."""

    def say(what: str, result: object) -> None:
        record_property(what, str(result))
        with capsys.disabled():
            sys.stdout.write(f"\n{what}: {result}")

    return say
