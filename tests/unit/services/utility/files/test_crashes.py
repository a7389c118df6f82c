import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.utility.files import rename
from services.utility.files.journal import Journal
from services.utility.files.limits import Limits
from services.utility.files.paths import TRASH_NAME
from services.utility.files.store import Store, opened
from services.utility.files.trash import Trash
from tandem.utility.config.v1 import files_pb2 as cfg
from tests.unit.services.utility.files.calls import CHANGES, Tree, delete, seed, tree

LIMITS = Limits.of(cfg.FilesSettings())
STEPS_MAX = 60
# All by which the agent changes the disk.
STEPS = (
    (Journal, "put"),
    (Journal, "forget"),
    (Trash, "create_file"),
    (rename, "_rename"),
    *((os, name) for name in ("write", "fsync", "mkdir", "unlink", "rmdir", "rename")),
)

Run = Callable[[Store], object]


class Killed(BaseException):
    """Stands for the end of the process."""


def _kill_before(step_max: int, patch: pytest.MonkeyPatch) -> None:
    """From step `step_max` on no step is taken any more, so that no clean-up can touch the disk."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps > step_max:
            raise Killed

    def stepping(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            step()
            return original(*arguments, **named)

        return call

    for owner, name in STEPS:
        patch.setattr(owner, name, stepping(getattr(owner, name)))


def _is_killed(folder: Path, step_max: int, run: Run) -> bool:
    """Whether `run` had not ended before that step."""
    with (
        opened(folder / "root", folder / "journal.sqlite", LIMITS) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        _kill_before(step_max, patch)
        try:
            run(store)
        except Killed:
            return True
    return False


def _found_after_kill(folder: Path, step_max: int, run: Run, check: Run) -> Tree | None:
    """What a restart finds after `run` was killed there; None if it had ended before."""
    (folder / "root").mkdir(parents=True)
    with opened(folder / "root", folder / "journal.sqlite", LIMITS) as store:
        seed(store)
    is_killed = _is_killed(folder, step_max, run)
    with opened(folder / "root", folder / "journal.sqlite", LIMITS) as store:
        slots = {path.name for path in (folder / "root" / TRASH_NAME).iterdir()}
        assert slots <= {entry.id for _, entry in store.retention.trashed(1000, 1000)}
        found = tree(store)
        check(store)
        # And life goes on: the same calls, made again, end as if nothing had been.
        run(store)
        return found if is_killed else None


def _found_after_each_kill(tmp_path: Path, run: Run, check: Run = lambda store: None) -> list[Tree]:
    found: list[Tree] = []
    for step_max in range(STEPS_MAX):
        one = _found_after_kill(tmp_path / f"step-{step_max}", step_max, run, check)
        if one is None:
            return found
        found.append(one)
    pytest.fail("it took more steps than expected")


def _before_and_after(folder: Path, change: Run) -> tuple[Tree, Tree]:
    (folder / "root").mkdir(parents=True)
    with opened(folder / "root", folder / "journal.sqlite", LIMITS) as store:
        seed(store)
        before = tree(store)
        change(store)
        return before, tree(store)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_kill_at_any_step_leaves_a_change_made_or_not_made(tmp_path: Path, change: Run) -> None:
    """Whichever step it comes before, a restart finds none of the change, or all with its undo."""
    before, after = _before_and_after(tmp_path / "alive", change)

    def check(store: Store) -> None:
        if tree(store) == after:
            store.history.undo("change")
            assert tree(store) == before

    found = _found_after_each_kill(tmp_path, change, check)
    assert before in found
    assert after in found
    assert [one for one in found if one not in (before, after)] == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_kill_at_any_step_leaves_an_undo_made_or_not_made(tmp_path: Path, change: Run) -> None:
    """The same holds on the way back, and the undo can be made again."""

    def change_and_undo(store: Store) -> None:
        change(store)
        store.history.undo("change")

    before, after = _before_and_after(tmp_path / "alive", change)
    found = _found_after_each_kill(tmp_path, change_and_undo)
    assert found[-1] == before
    assert after in found
    assert [one for one in found if one not in (before, after)] == []


def test_a_kill_in_a_purge_is_made_up_for_by_the_restart(tmp_path: Path) -> None:
    """What a purge began to destroy does not come back, and nothing of it stays."""

    def delete_and_purge(store: Store) -> None:
        delete(store, "change", "folder", recursive=True)
        store.retention.purge_one("change")

    found = _found_after_each_kill(tmp_path, delete_and_purge)
    assert found[-1] == {"file": b"old"}
