import os
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from services.utility.files.paths import TRASH_NAME
from services.utility.files.rename import Place, swap
from services.utility.files.store import Store
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.files.calls import (
    content,
    delete,
    make_folder,
    move,
    reason_of,
    tree,
    write,
)

SECRET = b"the neighbour's secret"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the root."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    (folder / "forbidden").write_bytes(SECRET)
    return folder


def _open_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _is_untouched(outside: Path) -> bool:
    held = {path.name: path.read_bytes() for path in outside.iterdir()}
    return held == {"secret": SECRET, "forbidden": SECRET}


def _refused_reads(store: Store, path: str) -> set[str]:
    reasons = set()
    for use in (
        lambda: content(store, path),
        lambda: move(store, "move", path, "elsewhere"),
        lambda: delete(store, "delete", path, recursive=True),
        lambda: write(store, "write", path, b"mine"),
    ):
        with pytest.raises(CallerError) as raised:
            use()
        reasons.add(reason_of(raised.value))
    return reasons


def test_a_symlink_to_a_file_is_never_used(store: Store, root: Path, outside: Path) -> None:
    """Reading, moving, deleting and overwriting through a link fail, wherever the link leads."""
    (root / "link").symlink_to(outside / "secret")
    (root / "own").write_bytes(b"own")
    (root / "inner").symlink_to("own")
    assert _refused_reads(store, "link") == {"LINK_REFUSED"}
    assert _refused_reads(store, "inner") == {"LINK_REFUSED"}
    assert _is_untouched(outside)


def test_a_symlink_as_a_folder_is_never_entered(store: Store, root: Path, outside: Path) -> None:
    """A link in the middle of a path fails, for all that could go through it."""
    (root / "folder").symlink_to(outside)
    assert _refused_reads(store, "folder/secret") == {"LINK_REFUSED"}
    with pytest.raises(CallerError) as raised:
        make_folder(store, "make", "folder/new")
    assert reason_of(raised.value) == "LINK_REFUSED"
    assert _is_untouched(outside)


def test_a_walk_shows_links_and_does_not_follow_them(
    store: Store, root: Path, outside: Path
) -> None:
    """A recursive listing names a link, so that its name is known to be taken, and ends there."""
    (root / "folder").symlink_to(outside)
    files = list(store.walk("", recursive=True).files())
    assert [(file.path, file.kind) for file in files] == [("folder", pb.FILE_KIND_REFUSED)]


def test_a_hard_link_is_refused(store: Store, root: Path, outside: Path) -> None:
    """A file with a second name, which may lie outside, is neither read nor moved nor replaced."""
    os.link(outside / "secret", root / "hard")
    assert _refused_reads(store, "hard") == {"LINK_REFUSED"}


def test_special_files_are_refused_without_waiting(store: Store, root: Path) -> None:
    """A FIFO without a writer and a socket are refused, and nobody hangs on them."""
    os.mkfifo(root / "fifo")
    folder = os.open(root, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        # By way of the descriptor: a test's own folder is too long for a socket's address.
        listener.bind(f"/proc/self/fd/{folder}/socket")
    os.close(folder)
    assert _refused_reads(store, "fifo") == {"SPECIAL_FILE_REFUSED"}
    assert _refused_reads(store, "socket") == {"SPECIAL_FILE_REFUSED"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_devices_are_refused(store: Store, root: Path) -> None:
    """A device node is never opened: opening one can act."""
    try:
        os.mknod(root / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this container makes no device nodes")
    assert _refused_reads(store, "null") == {"SPECIAL_FILE_REFUSED"}


def test_another_file_system_is_not_entered(store: Store) -> None:
    """A folder on another device than the root, which a test only can pretend, is refused."""
    store.jail._device = -1
    with pytest.raises(CallerError) as raised, store.jail.folder((TRASH_NAME,)):
        pass
    assert reason_of(raised.value) == "MOUNT_REFUSED"


def test_a_refusal_leaves_no_descriptor_open(store: Store, root: Path, outside: Path) -> None:
    """However often a caller is refused, at whatever depth, the agent does not run out of files."""
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "link").symlink_to(outside)
    os.mkfifo(root / "a" / "b" / "fifo")
    before = _open_count()
    for path in ("a/b/link", "a/b/link/secret", "a/b/fifo", "a/b/none", "a/none/b", "a/b"):
        with pytest.raises(CallerError):
            content(store, path)
    assert _open_count() == before


def test_names_that_no_caller_can_say_stay_unseen(store: Store, root: Path) -> None:
    """A name on disk that is not UTF-8, or not a legal component, is not listed, and goes with its
    folder.
    """
    (root / "folder").mkdir()
    (root / "folder" / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    (root / "folder" / "back\\slash").write_bytes(b"")
    assert tree(store) == {"folder": None}
    with pytest.raises(CallerError) as raised:
        delete(store, "once", "folder")
    assert reason_of(raised.value) == "FOLDER_NOT_EMPTY"
    delete(store, "twice", "folder", recursive=True)
    assert tree(store) == {}


@pytest.fixture
def swapping(root: Path, outside: Path) -> Iterator[None]:
    """All along, `root/moving` is now a folder, now a link to `outside`, and always one of them."""
    (root / "moving").mkdir()
    (root / "moving" / "secret").write_bytes(b"public")
    (root / "other").symlink_to(outside)
    folder = os.open(root, os.O_RDONLY)
    over = Event()

    def swap_on() -> None:
        while not over.is_set():
            swap(Place(folder, "moving"), Place(folder, "other"))

    with ThreadPoolExecutor(1) as pool:
        swaps = pool.submit(swap_on)
        yield
        over.set()
        swaps.result()
    os.close(folder)


def test_a_folder_swapped_for_a_link_leads_nowhere(
    store: Store, outside: Path, swapping: None
) -> None:
    """However the swaps fall between check and use, nothing outside is read, written or listed."""
    outcomes: Counter[str] = Counter()

    def attempt(number: int) -> None:
        assert content(store, "moving/secret") == b"public"
        outcomes["read"] += 1
        write(store, f"w{number}", f"moving/{number}", b"mine")
        outcomes["written"] += 1
        listed = {file.path for file in store.walk("moving", recursive=True).files()}
        assert "moving/forbidden" not in listed
        delete(store, f"d{number}", f"moving/{number}")

    wanted = {"read", "written", "LINK_REFUSED"}
    for number in range(20_000):
        try:
            attempt(number)
        except CallerError as error:
            outcomes[reason_of(error)] += 1
        if number > 1000 and wanted <= outcomes.keys():
            break
    assert _is_untouched(outside)
    assert wanted <= outcomes.keys(), outcomes
