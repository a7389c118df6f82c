"""The set from the Jargon File, which is in the public domain: each entry is a document, and each
of its references to another entry somebody's word that the sentence around it is about that.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tandemkit.ml.documents.document import Document
from tandemkit.ml.documents.parsing import parsed
from tests.bench.quality.labels import LabelledSet, Place, drawn
from tests.bench.quality.references import Passage, Reference, questions

_PACKAGE = "dict-jargon"
_TEXT, _INDEX = "jargon.dict.dz", "jargon.index"
_INSTALLED = Path("/usr/share/dictd")
_TEXT_SHA256 = "856ced964d3a3cfd79a3dc251df04365eefd848966e3ae94e58f2671d6e79ca5"
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_REFERENCE = re.compile(r"\{\s*([^{}]{1,80}?)\s*\}")
_PARAGRAPH = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+")
_QUESTIONS_MAX = 400
# Embedding all 2,300 takes minutes; those that no question is about are there to be confused with.
_ENTRIES_MAX = 1_000


class Unavailable(Exception):
    """There is no Jargon File here, and none could be fetched."""


def jargon(cache: Path) -> LabelledSet:
    """A thousand of its entries, among them all that its questions are about."""
    entries = dict(_entries(_folder(cache)))
    documents = {
        name: parsed(_REFERENCE.sub(r"\1", text).encode(), "text/plain", name)
        for name, text in entries.items()
    }
    by_name = {_folded(name): name for name in entries}
    passages = (
        passage
        for name, text in entries.items()
        for passage in _passages(name, text, by_name, documents)
    )
    asked = questions(passages)[:_QUESTIONS_MAX]
    needed = {place.document for one in asked for place in (one.answer, one.asked)}
    others = sorted(entries.keys() - needed, key=lambda name: drawn("entry", name))
    kept = sorted(needed | {*others[: max(0, _ENTRIES_MAX - len(needed))]})
    return LabelledSet("jargon", {name: documents[name] for name in kept}, asked)


def _passages(
    name: str, text: str, by_name: Mapping[str, str], documents: Mapping[str, Document]
) -> Iterator[Passage]:
    """Its paragraphs, behind the line that names it."""
    taken = 0  # characters of braces before the paragraph
    for found in _PARAGRAPH.finditer(text):
        said, references, removed = _plain(found[0], name, by_name, documents)
        start = found.start() - taken
        offsets = tuple(range(start, start + len(said) + 1))
        taken += removed
        if found.start() > 0:
            yield Passage(name, said, offsets, references)


def _plain(
    text: str, name: str, by_name: Mapping[str, str], documents: Mapping[str, Document]
) -> tuple[str, tuple[Reference, ...], int]:
    said: list[str] = []
    at = length = 0
    references = []
    for found in _REFERENCE.finditer(text):
        before = text[at : found.start()]
        start = length + len(before)
        said += (before, found[1])
        at, length = found.end(), start + len(found[1])
        target = by_name.get(_folded(found[1]))
        if target is not None and target != name:
            whole = Place(target, 0, len(documents[target].text))
            references.append(Reference(start, length, whole))
    plain = "".join(said) + text[at:]
    return plain, tuple(references), len(text) - len(plain)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """By headword. Entries that describe the file itself are left out."""
    with gzip.open(folder / _TEXT) as packed:
        whole = packed.read()
    seen = set()
    for line in (folder / _INDEX).read_text(encoding="utf-8").splitlines():
        name, start, length = line.split("\t")
        place = (_number(start), _number(length))
        if name.startswith("00") or place in seen:
            continue
        seen.add(place)
        text = whole[place[0] : sum(place)].decode(errors="replace")
        headword = text.partition("\n")[0].strip()
        if headword and text.strip() != headword:
            yield headword, text


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = 64 * value + _DIGITS.index(digit)
    return value


def _folder(cache: Path) -> Path:
    """Where its files are: installed, or fetched once into the user's cache, without root."""
    fetched = cache / "texts" / _PACKAGE
    for folder in (_INSTALLED, fetched):
        if (folder / _TEXT).is_file() and (folder / _INDEX).is_file():
            return folder
    fetched.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=fetched.parent) as scratch:
        _run(("apt-get", "download", "-q", _PACKAGE), scratch)
        package = next(Path(scratch).glob("*.deb"))
        _run(("dpkg-deb", "-x", str(package), "unpacked"), scratch)
        unpacked = Path(scratch) / "unpacked" / _INSTALLED.relative_to("/")
        if hashlib.sha256((unpacked / _TEXT).read_bytes()).hexdigest() != _TEXT_SHA256:
            raise Unavailable("the Jargon File that apt-get has is another one than is measured")
        unpacked.rename(fetched)
    return fetched


def _run(argv: tuple[str, ...], folder: str) -> None:
    try:
        subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(
            f"`{' '.join(argv)}` failed; run `apt-get update` as root and try again"
        ) from error
