import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.utility.files.limits import Limits
from services.utility.files.store import Store, opened
from tandem.utility.config.v1 import files_pb2 as cfg

MEMORY = "/dev/shm"


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a folder: these tests wait for the disk some thousand times."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=MEMORY, ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What the agent may touch; its siblings in `tmp_path` are what it may not."""
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def store(tmp_path: Path, root: Path) -> Iterator[Store]:
    with opened(root, tmp_path / "journal.sqlite", Limits.of(cfg.FilesSettings())) as store:
        yield store
