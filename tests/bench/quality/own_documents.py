"""The set from this repository's pages: each link from one to another is somebody's word that the
sentence around it is answered there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath

from tandemkit.ml.documents.document import Block, Document, Kind
from tandemkit.ml.documents.parsing import parsed
from tests.bench.quality.labels import LabelledSet, Place
from tests.bench.quality.references import Passage, Reference, questions

_LINK = r"\[((?:`[^`]*`|[^\[\]])+)\]\(([^()\s]+)\)"
_PART = re.compile(
    rf"(?P<pointer>\s*\((?:see\s+|also\s+)*{_LINK}(?:(?:,|;|\s+and)\s+{_LINK})*\))"
    rf"|(?P<link>{_LINK})|(?P<markup>`|\*+|^\s*(?:[-*+]|\d+\.|#+|>)\s+|\s*\|\s*)",
    re.MULTILINE,
)
_ONE_LINK = re.compile(_LINK)
_MARKUP = re.compile(r"[`*]")
_NOT_IN_A_SLUG = re.compile(r"[^\w\- ]")
_ASKING = frozenset({Kind.PROSE, Kind.LIST, Kind.QUOTE, Kind.TABLE})


def own_documents(root: Path) -> LabelledSet:
    """Of README.md and of all below docs/."""
    paths = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    documents = {
        path.relative_to(root).as_posix(): parsed(path.read_bytes(), uri=path.name)
        for path in paths
    }
    targets = {name: _targets(name, document) for name, document in documents.items()}
    passages = (
        passage for name, document in documents.items() for passage in _passages(name, document)
    )
    linked = (_with_targets(passage, targets) for passage in passages)
    return LabelledSet("docs", documents, questions(linked))


def slug(heading: str, seen: set[str]) -> str:
    """The anchor of a heading, as the sites that show Markdown make it."""
    plain = _NOT_IN_A_SLUG.sub("", heading.lower()).replace(" ", "-")
    chosen, number = plain, 0
    while chosen in seen:
        number += 1
        chosen = f"{plain}-{number}"
    seen.add(chosen)
    return chosen


def _targets(name: str, document: Document) -> dict[str, Place]:
    """By anchor; all of the page by none."""
    seen: set[str] = set()
    found = {"": Place(name, 0, len(document.text))}
    for one in document.sections:
        found[slug(one.headings[-1], seen)] = Place(name, one.start_char, one.end_char)
    return found


def _passages(name: str, document: Document) -> Iterator[tuple[str, Passage, list[str]]]:
    for block in document.blocks:
        if block.kind in _ASKING:
            for start, end in _parts(block):
                yield name, *_plain(name, document.text, start, end)


def _parts(block: Block) -> Iterator[tuple[int, int]]:
    at = block.start_char
    for cut in (*block.cuts, block.end_char):
        yield at, cut
        at = cut


def _plain(name: str, text: str, start: int, end: int) -> tuple[Passage, list[str]]:
    """Without markup; references have no target yet, which stands beside them."""
    said: list[str] = []
    offsets: list[int] = []
    references: list[Reference] = []
    links: list[str] = []
    nowhere = Place(name, 0, 0)

    def say(words: str, at: int) -> None:
        said.append(words)
        offsets.extend(range(at, at + len(words)))

    at = start
    for found in _PART.finditer(text, start, end):
        say(text[at : found.start()], at)
        at = found.end()
        place = len(offsets)
        for link in _ONE_LINK.finditer(found.group("pointer") or found.group("link") or ""):
            links.append(link[2])
            if found.group("link"):
                say(_MARKUP.sub("", link[1]), found.start())
            references.append(Reference(place, len(offsets), nowhere))
        if found.group("markup") and "|" in found[0]:
            say(" ", found.start())
    say(text[at:end], at)
    offsets.append(end)
    return Passage(name, "".join(said), tuple(offsets), tuple(references)), links


def _with_targets(
    passage: tuple[str, Passage, list[str]], targets: Mapping[str, Mapping[str, Place]]
) -> Passage:
    name, plain, links = passage
    references = []
    for reference, link in zip(plain.references, links, strict=True):
        path, _, anchor = link.partition("#")
        page = normpath((PurePosixPath(name).parent / path).as_posix()) if path else name
        target = targets.get(page, {}).get(anchor)
        # A link within a page is mostly the way through it.
        if target is not None and page != name:
            references.append(Reference(reference.start, reference.end, target))
    return Passage(name, plain.text, plain.offsets, tuple(references))
