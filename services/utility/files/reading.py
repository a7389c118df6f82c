"""One version of a file, read in pieces."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass

from services.utility.files.jail import Jail, check_etag, described, etag_of
from services.utility.files.paths import parse_path
from services.utility.files.refusal import refused
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError

CHUNK_BYTES_MAX = 65536


@dataclass(frozen=True)
class Span:
    """Which bytes of which version. `length_bytes` 0: to the end, `etag` empty: any version."""

    path: str
    offset_bytes: int = 0
    length_bytes: int = 0
    etag: str = ""
    field: str = "path"


def read(jail: Jail, span: Span, file_bytes_max: int) -> Generator[pb.File | bytes, None, None]:
    """First the file, then its bytes. Fails at the end if somebody wrote into the file meanwhile;
    our own writes never do, they put another file in its place.
    """
    parts = parse_path(span.path, field=span.field)
    with jail.file(parts) as descriptor:
        status = os.fstat(descriptor)
        check_etag(status, span.etag, parts)
        rest_bytes = max(0, status.st_size - span.offset_bytes)
        if span.length_bytes:
            rest_bytes = min(rest_bytes, span.length_bytes)
        elif rest_bytes > file_bytes_max:
            raise CallerError(
                errors.ERROR_REASON_TOO_LARGE,
                "the file is larger than the limit; read it by ranges",
                bytes_max=file_bytes_max,
            )
        yield described(parts, status)
        offset_bytes = span.offset_bytes
        while rest_bytes:
            chunk = os.pread(descriptor, min(rest_bytes, CHUNK_BYTES_MAX), offset_bytes)
            if not chunk:
                break
            offset_bytes += len(chunk)
            rest_bytes -= len(chunk)
            yield chunk
        if etag_of(os.fstat(descriptor)) != etag_of(status):
            raise refused(
                errors.ERROR_REASON_CHANGED_WHILE_READ, "the file changed while it was read", parts
            )
