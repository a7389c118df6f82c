"""How much goes into one message: a gRPC client takes 4 MiB unless told otherwise, and paths can be
long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeVar

from google.protobuf.message import Message

_BYTES_MAX = 1024 * 1024

M = TypeVar("M", bound=Message)


def batches(messages: Iterable[M]) -> Iterator[list[M]]:
    """All of `messages`, in lists that fit; never an empty one."""
    rest = iter(messages)
    beyond = next(rest, None)
    while beyond is not None:
        batch, beyond = first_batch(chain((beyond,), rest))
        yield batch


def first_batch(messages: Iterable[M], count_max: int | None = None) -> tuple[list[M], M | None]:
    """As many of `messages` as fit, and the first that did not; None where that was all."""
    batch: list[M] = []
    batch_bytes = 0
    for message in messages:
        batch_bytes += message.ByteSize()
        if batch and (len(batch) == count_max or batch_bytes > _BYTES_MAX):
            return batch, message
        batch.append(message)
    return batch, None
