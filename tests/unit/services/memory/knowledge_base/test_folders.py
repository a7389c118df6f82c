"""Folders of the machine: what is in them is here, what went is gone, and no link leads out."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.memory.knowledge_base.folders import FileGone, FolderRefused, Jail, selects
from tandem.memory.v1 import ingest_pb2 as nouns
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandemkit.testing.failures import failure_of
from tests.unit.services.memory.knowledge_base.asking import Embedder, holding, knowledge_base

_NAMES = ("a.md", "b.md", "deep/c.md", "deep/er/d.md")
_TEXTS = (
    "# One\n\nA spade is a tool.\n",
    "# Two\n\nA rose is a plant.\n",
    "# Three\n\nRain falls.",
)


def write(folder: Path, files: dict[str, str]) -> None:
    """The folder then has these and no others."""
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def test_a_folder_is_followed(tmp_path: Path) -> None:
    """New, changed and unchanged are told apart, and what went is in no answer and no file."""
    folder = tmp_path / "texts"
    write(folder, {"a.md": _TEXTS[0], "b.md": _TEXTS[1] + "The zarquon is rare.\n"})
    async with knowledge_base(tmp_path / "state", roots=[str(tmp_path)]) as base:
        first = await base.folder(folder)
        assert (first.state, first.added) == (nouns.INGEST_STATE_DONE, 2)
        await base.embedded()
        write(folder, {"a.md": _TEXTS[0], "c.md": _TEXTS[2]})
        second = await base.folder(folder)
        assert (second.added, second.unchanged, second.removed) == (1, 1, 1)
        found = await base.search("zarquon rose spade")
        assert {one.passage.uri for one in found.hits[:1]} == {f"file://{folder}/a.md"}
        assert not holding(tmp_path / "state", b"zarquon")


async def test_patterns_choose_and_leave_the_others_alone(tmp_path: Path) -> None:
    """What other patterns brought stays."""
    folder = tmp_path / "texts"
    write(folder, {"a.md": _TEXTS[0], "deep/c.md": _TEXTS[1], "deep/.hidden.md": _TEXTS[2]})
    async with knowledge_base(tmp_path / "state", roots=[str(tmp_path)]) as base:
        assert (await base.folder(folder, "*.md")).added == 1
        deep = await base.folder(folder, "deep/**/*.md")
        assert (deep.added, deep.removed) == (2, 0)
        assert (await base.folder(folder)).unchanged == 2


@pytest.mark.parametrize("where", ["/", "elsewhere", "texts/../elsewhere", "texts/link"])
async def test_no_folder_outside_is_read(tmp_path: Path, where: str) -> None:
    """By no name that leads there."""
    root, outside = tmp_path / "texts", tmp_path / "elsewhere"
    write(outside, {"secret.md": _TEXTS[0]})
    root.mkdir()
    (root / "link").symlink_to(outside)
    folder = Path(where) if where == "/" else tmp_path / where
    async with knowledge_base(tmp_path / "state", roots=[str(root)]) as base:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await base.folder(folder)
        assert failure_of(caught.value).reason == "FOLDER_REFUSED"
        assert (await base.folder(root)).documents == 0


def test_a_link_that_comes_between_is_not_followed(tmp_path: Path) -> None:
    """Neither as the file nor as a folder above it."""
    root, outside = tmp_path / "texts", tmp_path / "elsewhere"
    write(root, {"deep/a.md": _TEXTS[0]})
    write(outside, {"a.md": "secret"})
    jail = Jail((str(root),))
    assert jail.files(str(root), (), 10) == ["deep/a.md"]
    (root / "deep" / "a.md").unlink()
    (root / "deep" / "a.md").symlink_to(outside / "a.md")
    with pytest.raises(FileGone):
        jail.read(str(root), "deep/a.md", 100)
    (root / "deep" / "a.md").unlink()
    (root / "deep").rmdir()
    (root / "deep").symlink_to(outside)
    with pytest.raises(FileGone):
        jail.read(str(root), "deep/a.md", 100)
    with pytest.raises(FolderRefused):
        jail.files(str(root / "deep"), (), 10)


def test_globs_are_those_that_people_know() -> None:
    """One star stays in its folder, two go through all of them."""
    assert selects(["**/*.md"], "a.md")
    assert selects(["**/*.md"], "deep/er/a.md")
    assert selects(["docs/*.md"], "docs/a.md")
    assert not selects(["docs/*.md"], "docs/deep/a.md")
    assert not selects(["*.md"], "a.mdx")
    assert not selects([], ".git/config")


def test_a_glob_of_many_stars_is_read_at_once() -> None:
    """The interpreter goes on with nothing else while it looks at one."""
    began_s = time.thread_time()
    assert not selects(["*?" * 20 + "z"], "a" * 60)
    assert not selects(["**/" * 20 + "z"], "a/" * 60)
    assert selects(["a[1]\n*"], "a[1]\nä.md")
    assert time.thread_time() - began_s < 1


_STATES = some.lists(
    some.dictionaries(some.sampled_from(_NAMES), some.sampled_from(_TEXTS)), min_size=1, max_size=4
)


@settings(max_examples=6, deadline=None)
@given(states=_STATES)
async def test_what_is_here_is_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, states: list[dict[str, str]]
) -> None:
    """Whatever comes, changes and goes: counts are right, texts are the files', every span fits,
    and what is there already costs nothing.
    """
    place = tmp_path_factory.mktemp("model")
    folder, embedder = place / "texts", Embedder()
    folder.mkdir()
    before: dict[str, str] = {}
    async with knowledge_base(place / "state", embedder, roots=[str(place)]) as base:
        for files in states:
            write(folder, files)
            told = await base.folder(folder)
            await base.embedded()
            kept = {name for name in files if name in before}
            same = {name for name in kept if files[name] == before[name]}
            assert told.added == len(files.keys() - before.keys())
            assert (told.unchanged, told.changed) == (len(same), len(kept - same))
            assert told.removed == len(before.keys() - files.keys())
            documents = (await base.documents()).documents
            assert {one.uri: await base.text(one.name) for one in documents} == {
                f"file://{folder}/{name}": text for name, text in files.items()
            }
            await base.check_spans(await base.search("spade rose rain tool plant", limit=50))
            before = files
        again = await base.folder(folder)
        assert again.unchanged == again.documents == len(before)
        count = len(embedder.texts)
        await base.stub.ListFacts(pb.ListFactsRequest())
        assert len(embedder.texts) == count
