from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.files.jail import Jail
from services.utility.files.listing import Walk, page
from services.utility.files.store import Store
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.files.calls import make_folder, reason_of, write

names = st.text(st.sampled_from("ab!~.-0ü\U0001f600"), min_size=1, max_size=3).filter(
    lambda name: name not in {".", ".."}
)
trees = st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=12)


def _paths(walk: Walk, size: int) -> list[str]:
    """All pages, one after the other."""
    paths, token = [], ""
    while True:
        one = page(walk, size, token)
        assert len(one.files) <= size
        paths += [file.path for file in one.files]
        token = one.next_page_token
        if not token:
            return paths


@given(folders=trees, size=st.integers(1, 5), recursive=st.booleans())
def test_pages_of_any_size_show_each_name_once_and_in_order(
    folders: list[str], size: int, recursive: bool
) -> None:
    """However a listing is cut into pages, it is the same listing."""
    with TemporaryDirectory() as root:
        for folder in folders:
            Path(root, folder).mkdir(parents=True, exist_ok=True)
        jail = Jail(root)
        found = _paths(Walk(jail, (), recursive, 1000), size)
        jail.close()
        there = Path(root).rglob("*") if recursive else Path(root).iterdir()
        expected = sorted(path.relative_to(root).parts for path in there)
    assert found == ["/".join(parts) for parts in expected]


def test_a_page_goes_on_where_its_token_says_when_that_name_is_gone(
    store: Store, root: Path
) -> None:
    """Removing the last name shown neither repeats nor skips the rest."""
    for name in "abcd":
        write(store, f"write-{name}", name, b"")
    walk = store.walk("", recursive=False)
    first = page(walk, 2, "")
    (root / "b").unlink()
    assert [file.path for file in page(walk, 2, first.next_page_token).files] == ["c", "d"]


def test_a_token_belongs_to_its_listing(store: Store) -> None:
    """A token of another folder, or none at all, is refused and not guessed at."""
    make_folder(store, "one", "folder")
    for name in "abc":
        write(store, f"write-{name}", f"folder/{name}", b"")
    token = page(store.walk("folder", recursive=False), 1, "").next_page_token
    for walk, bad in (
        (store.walk("", recursive=False), token),
        (store.walk("folder", recursive=True), token),
        (store.walk("folder", recursive=False), token[:-4]),
        (store.walk("folder", recursive=False), "not a token"),
    ):
        with pytest.raises(CallerError) as raised:
            page(walk, 1, bad)
        assert reason_of(raised.value) == "BAD_FILE_REQUEST"
        assert raised.value.field == "page_token"


def test_a_folder_with_too_many_names_is_refused(store: Store) -> None:
    """Listing holds no more names than the limit, and says so instead of showing a part."""
    for name in "abc":
        write(store, f"write-{name}", name, b"")
    with pytest.raises(CallerError) as raised:
        page(Walk(store.jail, (), recursive=False, entries_max=3), 10, "")
    assert reason_of(raised.value) == "TOO_MANY_ENTRIES"


def test_listing_a_file_or_nothing_says_which(store: Store) -> None:
    """The caller learns whether the path is a file, or free."""
    write(store, "one", "file", b"")
    reasons = []
    for path in ("file", "nothing", "file/below"):
        with pytest.raises(CallerError) as raised:
            store.walk(path, recursive=False)
        reasons.append(reason_of(raised.value))
    assert reasons == ["NOT_A_FOLDER", "FILE_NOT_FOUND", "NOT_A_FOLDER"]
