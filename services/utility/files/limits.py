"""The settings with their defaults in place: the one function that knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tandem.utility.config.v1 import files_pb2 as cfg

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    file_bytes_max: int
    quota_bytes_max: int
    search_file_bytes_max: int
    entries_max: int
    trash_retention: timedelta
    sweep_interval: timedelta

    @classmethod
    def of(cls, settings: cfg.FilesSettings) -> Limits:
        return cls(
            file_bytes_max=settings.file_bytes_max or 64 * _MIB,
            quota_bytes_max=settings.quota_bytes_max or 10 * 1024 * _MIB,
            search_file_bytes_max=settings.search_file_bytes_max or 8 * _MIB,
            entries_max=settings.entries_max or 50_000,
            trash_retention=settings.trash_retention.ToTimedelta() or timedelta(days=30),
            sweep_interval=settings.sweep_interval.ToTimedelta() or timedelta(hours=1),
        )
