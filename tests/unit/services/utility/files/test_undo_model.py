import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from services.utility.files.limits import Limits
from services.utility.files.store import opened
from tandem.utility.config.v1 import files_pb2 as cfg
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.files.calls import (
    delete,
    make_folder,
    move,
    tree,
    write,
)
from tests.unit.services.utility.files.conftest import MEMORY

Tree: TypeAlias = dict[str, bytes | None]

LIMITS = Limits.of(cfg.FilesSettings())
paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


def _below(path: str, other: str) -> bool:
    return other == path or other.startswith(f"{path}/")


class FilesBesideModel(RuleBasedStateMachine):
    """Writes, folders, moves, deletions and undos, with restarts between them, against a
    dictionary.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        self._state_dir = Path(self._folder.name)
        (self._state_dir / "root").mkdir()
        self._model: Tree = {}
        # What the model was before each operation: the newest can always be undone.
        self._undoable: list[tuple[str, Tree]] = []
        self._calls = 0

    @initialize()
    def open(self) -> None:
        path = self._state_dir
        self._opening = opened(path / "root", path / "journal.sqlite", LIMITS)
        self._store = self._opening.__enter__()

    def teardown(self) -> None:
        self._opening.__exit__(None, None, None)
        self._folder.cleanup()

    @rule()
    def restart(self) -> None:
        self._opening.__exit__(None, None, None)
        self.open()

    @rule(path=paths, content=st.binary(max_size=8))
    def write(self, path: str, content: bytes) -> None:
        is_legal = self._has_folder(path) and self._model.get(path, b"") is not None
        after = {**self._model, path: content}
        self._expect(is_legal, after, lambda call: write(self._store, call, path, content))

    @rule(path=paths)
    def make_folder(self, path: str) -> None:
        parts = path.split("/")
        chain = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        is_legal = path not in self._model and all(self._model.get(one) is None for one in chain)
        after = {**self._model, **dict.fromkeys(chain)}
        self._expect(is_legal, after, lambda call: make_folder(self._store, call, path))

    @rule(source=paths, path=paths)
    def move(self, source: str, path: str) -> None:
        is_legal = (
            source in self._model
            and path not in self._model
            and self._has_folder(path)
            and not _below(source, path)
        )
        after = {
            path + old.removeprefix(source) if _below(source, old) else old: content
            for old, content in self._model.items()
        }
        self._expect(is_legal, after, lambda call: move(self._store, call, source, path))

    @rule(path=paths, recursive=st.booleans())
    def delete(self, path: str, recursive: bool) -> None:
        held = [other for other in self._model if _below(path, other)]
        is_legal = path in self._model and (recursive or len(held) == 1)
        after = {other: self._model[other] for other in self._model if other not in held}
        self._expect(
            is_legal, after, lambda call: delete(self._store, call, path, recursive=recursive)
        )

    @rule()
    def undo_newest(self) -> None:
        if self._undoable:
            operation_id, self._model = self._undoable.pop()
            self._store.history.undo(operation_id)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "_store"):
            assert tree(self._store) == self._model

    def _has_folder(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        return not folder or (folder in self._model and self._model[folder] is None)

    def _expect(self, is_legal: bool, after: Tree, make: Callable[[str], object]) -> None:
        self._calls += 1
        operation_id = f"call-{self._calls}"
        try:
            make(operation_id)
        except CallerError:
            assert not is_legal
        else:
            assert is_legal
            self._undoable.append((operation_id, self._model))
            self._model = after


def test_files_do_as_the_model_does_across_undos_and_restarts() -> None:
    """Whatever the order, the files are what the model says, and each undo goes one step back."""
    run_state_machine_as_test(
        FilesBesideModel, settings=settings(max_examples=100, stateful_step_count=25)
    )
