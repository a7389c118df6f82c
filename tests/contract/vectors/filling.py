"""A process for `test_kills`: it writes and deletes points as fast as it can, and says each write
that it was told of. It ends by being killed.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

import numpy as np

from tandemkit.storage.vectors.files import file_vectors
from tandemkit.storage.vectors.protocol import Collection, Index, Point, Query
from tandemkit.storage.vectors.shelf import Maker
from tests.contract.vectors.points import DIMENSION, SPACE, clustered, filled, plan

WRITERS = 3


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _write(target: Collection, writer: int) -> None:
    random = np.random.default_rng(writer)
    for turn in count():
        one = f"w{writer}-{turn}"
        await target.upsert([Point(one, random.normal(size=DIMENSION).astype(np.float32))], SPACE)
        _say(f"+{one}")
        if turn % 2:
            _say(f"?{one}")
            await target.delete([one])
            _say(f"-{one}")


async def fill(path: Path, maker: Maker) -> None:
    async with file_vectors(path, maker) as store:
        target = await store.create("one", plan(index=Index.HNSW))
        if not await target.count():
            await filled(target, clustered(1000))
        await target.search(Query(clustered(1)[0].values, SPACE, 1))
        await asyncio.gather(*(_write(target, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), Maker(sys.argv[2])))
