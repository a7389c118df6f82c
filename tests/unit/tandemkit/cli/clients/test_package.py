"""A package is written over its own earlier self, and over nobody else's files."""

from pathlib import Path

import pytest

from tandemkit.cli.clients.package import MARK, check_ours, write
from tandemkit.cli.output import Refusal

ABOUT = {"language": "go"}


def test_what_stayed_the_same_is_not_written_again(tmp_path: Path) -> None:
    """A build that looks at times has nothing to do; what is new is written, what went goes."""
    first = write(tmp_path, {"a": b"1", "b/c": b"2"}, ABOUT)
    assert (first.changed, first.removed, first.total) == (("a", "b/c"), (), 2)
    before = (tmp_path / "a").stat().st_mtime_ns
    second = write(tmp_path, {"a": b"1", "d": b"3"}, ABOUT)
    assert (second.changed, second.removed) == (("d",), ("b/c",))
    assert (tmp_path / "a").stat().st_mtime_ns == before
    assert not (tmp_path / "b" / "c").exists()


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    """What a build made beside the package is no concern of ours."""
    write(tmp_path, {"a": b"1"}, ABOUT)
    (tmp_path / "built").write_text("by cargo")
    check_ours(tmp_path, "go", force=False)
    assert write(tmp_path, {}, ABOUT).removed == ("a",)
    assert (tmp_path / "built").exists()


def test_a_mark_names_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    """A mark that somebody changed removes no file of theirs."""
    folder = tmp_path / "package"
    folder.mkdir()
    (tmp_path / "mine").write_text("precious")
    (folder / MARK).write_text('{"language": "go", "files": ["../mine"]}')
    assert write(folder, {}, ABOUT).removed == ()
    assert (tmp_path / "mine").exists()


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    """Unless it is forced; a new folder and an empty one are fine."""
    check_ours(tmp_path, "go", force=False)
    check_ours(tmp_path / "new", "go", force=False)
    (tmp_path / "thesis").write_text("")
    with pytest.raises(Refusal, match="not empty"):
        check_ours(tmp_path, "go", force=False)
    check_ours(tmp_path, "go", force=True)
    with pytest.raises(Refusal, match="no folder"):
        check_ours(tmp_path / "thesis", "go", force=True)


def test_another_languages_package_is_refused(tmp_path: Path) -> None:
    """Its files and these would be mixed."""
    write(tmp_path, {"a": b"1"}, ABOUT)
    with pytest.raises(Refusal, match="holds the package for go"):
        check_ours(tmp_path, "rust", force=False)
