"""A way to say aloud what a test counted."""

import sys
from collections.abc import Callable

import pytest

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
