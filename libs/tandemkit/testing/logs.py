"""What code of ours logged, without what libraries did."""

from __future__ import annotations

import logging

import pytest


def lines_of(caplog: pytest.LogCaptureFixture, logger: str) -> list[logging.LogRecord]:
    """Those of `logger` and of what is below it. grpc.aio leaves an error of asyncio now and then
    where the loops of several tests took turns.
    """
    return [one for one in caplog.records if f"{one.name}.".startswith(f"{logger}.")]
