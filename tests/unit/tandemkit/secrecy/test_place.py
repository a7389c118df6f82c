"""Where a fleet's secrets lie."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandemkit.core import redaction
from tandemkit.secrecy import files
from tandemkit.secrecy.chain import Chain, Folder, Launched
from tandemkit.secrecy.place import MEMORY, Place


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


def test_a_place_is_in_memory_and_its_users_alone(tmp_path: Path) -> None:
    """The same one for each process of the home, another one for each home, and gone behind it."""
    place, other = Place.of(tmp_path / "one"), Place.of(tmp_path / "two")
    assert place == Place.of(tmp_path / "." / "one")
    assert place.folder != other.folder
    if not place.is_in_memory:
        pytest.skip("this system has no file system in memory at /dev/shm")
    place.provide({"api_key": "value-1"})
    try:
        modes = {path.stat().st_mode & 0o777 for path in (place.folder, place.environment)}
        assert modes == {0o700}
        assert (place.environment / "api_key").stat().st_mode & 0o777 == 0o600
    finally:
        place.forget()
    assert not place.folder.exists()
    place.forget()


def test_what_is_laid_is_what_the_host_needs(tmp_path: Path) -> None:
    """No other's, nothing of before; what nobody knows now stays, and what is so already too."""
    place = Place(tmp_path)
    assert place.lay("one", {"a": "1111", "b": "2222"}, {"a", "b"}) == ["a", "b"]
    assert place.lay("one", {"a": "1111", "b": "3333"}, {"a", "b"}) == ["b"]
    before = files.identity(place.host("one") / "a")
    assert place.lay("one", {"b": "3333"}, {"a", "b"}) == []
    assert files.identity(place.host("one") / "a") == before
    assert place.lay("one", {}, {"a"}) == []
    assert [path.name for path in place.host("one").iterdir()] == ["a"]


async def test_the_later_of_environment_and_hand_counts(tmp_path: Path) -> None:
    """An `up` with the environment of before does not take a rotation back."""
    place = Place(tmp_path)
    launched = Launched(place)

    async def value() -> str:
        return (await launched.find(["api_key"])).found["api_key"].secret.reveal()

    def age(path: Path, seconds: int) -> None:
        os.utime(path, (seconds, seconds))

    place.provide({"api_key": "value-1"})
    age(place.environment / "api_key", 1000)
    assert await value() == "value-1"
    place.give("api_key", "value-2")
    age(place.given / "api_key", 2000)
    assert await value() == "value-2"
    place.provide({"api_key": "value-1"})
    assert await value() == "value-2"
    place.provide({"api_key": "value-3"})
    assert await value() == "value-3"


async def test_the_first_provider_that_has_it_counts(tmp_path: Path) -> None:
    """One that cannot be trusted is passed over, and told without its value."""
    folders = [tmp_path / name for name in ("first", "second", "none")]
    for folder in folders[:2]:
        folder.mkdir()
    files.write(folders[1] / "a", "second-a")
    files.write(folders[0] / "b", "first-b")
    files.write(folders[1] / "b", "second-b")
    (folders[0] / "a").write_text("first-a")
    (folders[0] / "a").chmod(0o644)
    search = await Chain([Folder(one) for one in folders]).find(["a", "b", "c"])
    found = {name: one.secret.reveal() for name, one in search.found.items()}
    assert found == {"a": "second-a", "b": "first-b"}
    assert search.found["a"].provider == f"folder {folders[1]}"
    (trouble,) = search.troubles
    assert "chmod 600" in trouble.said
    assert "first-a" not in str(trouble)


def test_a_place_that_another_user_made_is_not_used(tmp_path: Path) -> None:
    """Everybody may make folders in /dev/shm: then the home has to do, as without any memory."""
    home = tmp_path / "home"
    in_home = home / "run" / "secrets"
    assert Place.of(home, tmp_path / "none").folder == in_home
    if not Place.of(home).is_in_memory:
        pytest.skip("this system has no file system in memory at /dev/shm")
    with tempfile.TemporaryDirectory(dir=MEMORY) as memory:
        taken = Path(memory) / f"tandem-{os.geteuid()}"
        taken.mkdir()
        taken.chmod(0o755)
        assert Place.of(home, Path(memory)).folder == in_home
        taken.chmod(0o700)
        assert Place.of(home, Path(memory)).folder.parent == taken


async def test_a_file_by_hand_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """Also in our own place; what lies beside it is found."""
    place = Place(tmp_path)
    place.give("api_key", "value-1")
    place.give("spare_key", "value-2")
    (place.given / "api_key").chmod(0o644)
    search = await Launched(place).find(["api_key", "spare_key"])
    assert list(search.found) == ["spare_key"]
    assert "chmod 600" in str(search.troubles[0])


def test_what_a_launcher_handed_over_is_handed_on(tmp_path: Path) -> None:
    """By who ends a fleet only to start it again; where there was nothing nothing is made."""
    place = Place(tmp_path / "fleet" / "secrets")
    place.hand(place.handed())
    assert not place.folder.exists()
    place.provide({"api_key": "value-1"})
    place.give("spare_key", "value-2")
    handed = place.handed()
    place.forget()
    place.hand(handed)
    assert (place.environment / "api_key").read_text() == "value-1"
    assert (place.given / "spare_key").read_text() == "value-2"


async def test_of_two_that_were_handed_on_the_later_one_counts_still(tmp_path: Path) -> None:
    """Each byte of it, and whatever a write that was killed has left."""
    place = Place(tmp_path / "secrets")
    place.give("api_key", "given-before")
    place.provide({"api_key": "of\r\nthe-shell"})
    (place.given / ".api_key.new").write_bytes(b"half")
    os.utime(place.given / "api_key", (1, 1))
    handed = place.handed()
    place.forget()
    place.hand(handed)
    found = (await Launched(place).find(["api_key"])).found["api_key"]
    assert found.secret.reveal() == "of\r\nthe-shell"
    assert [one.name for one in place.given.iterdir()] == ["api_key"]


def test_whoever_lays_first_makes_folders_that_are_its_users_alone(tmp_path: Path) -> None:
    """Also a supervisor that was started by a restore, with the usual mask: the place would not be
    taken for ours any more.
    """
    place = Place(tmp_path / "of-user" / "fleet")
    before = os.umask(0o022)
    try:
        place.lay("agents", {"api_key": "value-1"}, {"api_key"})
    finally:
        os.umask(before)
    made = [path for path in (tmp_path / "of-user").rglob("*") if path.is_dir()]
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "of-user", *made)}
    assert modes == {0o700}


def test_a_folder_that_somebody_made_in_our_place_is_not_used(tmp_path: Path) -> None:
    """Between the look for it and its making."""
    place = Place(tmp_path / "fleet")
    (tmp_path / "anothers").mkdir()
    place.folder.symlink_to(tmp_path / "anothers")
    with pytest.raises(PermissionError):
        place.provide({"api_key": "value-1"})
    assert not list((tmp_path / "anothers").iterdir())
