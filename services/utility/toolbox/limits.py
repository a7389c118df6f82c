"""What one call may ask for. The defaults of `ToolboxSettings` stand here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tandem.utility.config.v1 import toolbox_pb2 as cfg
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings with their defaults filled in; each field is explained in the contract."""

    text_bytes_max: int = MIB
    compared_code_points_max: int = 20_000
    diff_lines_max: int = 10_000
    pattern_memory_bytes_max: int = MIB
    text_result_bytes_max: int = 2 * MIB
    digest_bytes_max: int = 3 * MIB
    digest_stream_bytes_max: int = 4 * KIB * MIB
    document_bytes_max: int = MIB
    document_depth_max: int = 64
    document_steps_max: int = 200_000
    archive_bytes_max: int = 3 * MIB
    archive_content_bytes_max: int = 3 * MIB
    archive_entries_max: int = 1_000
    archive_expansion_max: int = 200

    @classmethod
    def of(cls, settings: cfg.ToolboxSettings) -> Self:
        """Takes what the settings say, and the default for what they leave at 0."""
        return cls(**{field.name: value for field, value in settings.ListFields()})


def refuse_above(limit: int, actual: int, field: str, *, unit: str = "bytes") -> None:
    """Raises TOO_LARGE when `actual` is above `limit`; `unit` is what both of them count."""
    if actual > limit:
        raise CallerError(
            errors.ERROR_REASON_TOO_LARGE,
            "the input or the result exceeds the limit",
            field=field,
            **{unit: actual, f"{unit}_max": limit},
        )
