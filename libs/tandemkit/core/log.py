"""Log lines as JSON: a constant dotted event name and fields. Metrics count, logs explain."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from tandemkit.core.redaction import redacted

_FIELDS = "tandem_fields"


def event(logger: logging.Logger, level: int, name: str, /, **fields: object) -> None:
    """Writes one line. `name` never varies between two lines of the same kind; payloads do not
    belong in fields.
    """
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={_FIELDS: fields})


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII, so that no break in a value, Unicode's included, can forge
    a line. Secrets that the process knows are not in it.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
        }
        line.update(getattr(record, _FIELDS, {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, default=str))


def write_to(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Sends every logger's lines to `stream`, and nowhere else."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=level, force=True)
