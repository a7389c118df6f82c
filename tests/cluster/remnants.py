"""Where a word still lies, in any form in which a fleet writes it: in the files themselves, freed
pages and logs among them, and not in what programs answer of them.
"""

from __future__ import annotations

import base64
import json
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Full-text indexes leave out what a word shares with the one before it.
_SHARED_MAX = 4
_ZLIB, _GZIP = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), b"\x1f\x8b\x08"
_INFLATED_MAX = 16 * 1024 * 1024


class Remnants:
    """Of one word of at least a dozen letters, which stands in nothing else."""

    def __init__(self, word: str) -> None:
        bare = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()
        texts = {one for form in (word, bare) for one in (form, form.casefold(), form.upper())}
        cut = {one[_SHARED_MAX:] for one in texts}
        self.needles = {needle for text in cut for needle in _written(text)}

    def are_in(self, content: bytes) -> bool:
        """Also compressed, wherever that begins."""
        return self._plainly(content) or any(self._plainly(one) for one in _inflated(content))

    def below(self, folder: Path) -> set[str]:
        """The files that hold it, or are called by it."""
        return {
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and (self.are_in(str(path).encode()) or self.are_in(_content(path)))
        }

    def _plainly(self, content: bytes) -> bool:
        return any(needle in content for needle in self.needles)


def _content(path: Path) -> bytes:
    """Empty where it is gone meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _written(text: str) -> Iterator[bytes]:
    """As text, as JSON escapes it, in hexadecimal, and in base64 at each of its three places."""
    yield from (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"))
    yield json.dumps(text)[1:-1].encode()
    yield text.encode().hex().encode()
    for place in range(3):
        # What stands before and behind it changes the letters at both ends.
        coded = base64.b64encode(b"\0" * place + text.encode())
        yield coded[(0, 2, 3)[place] : len(coded) - 4]


def _inflated(content: bytes) -> Iterator[bytes]:
    for mark, bits in (*((one, zlib.MAX_WBITS) for one in _ZLIB), (_GZIP, zlib.MAX_WBITS | 16)):
        place = content.find(mark)
        while place >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(bits).decompress(content[place:], _INFLATED_MAX)
            place = content.find(mark, place + 1)
