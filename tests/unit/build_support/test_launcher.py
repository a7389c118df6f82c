"""`./tandem` itself: finds a CPython 3.11, or says in one sentence what to do."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repo.checkout import root

LAUNCHER = root() / "tandem"
FIT = '#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "$@"\n'
UNFIT = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A PATH that holds no more than the launcher itself needs."""
    for program in ("dirname", "readlink"):
        (tmp_path / program).symlink_to(shutil.which(program) or program)
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": str(folder), "HOME": str(folder)}
    argv = ["/bin/sh", str(LAUNCHER), *arguments]
    return subprocess.run(argv, env=variables, capture_output=True, text=True, check=False)


def plant(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)


def test_without_any_python_it_says_what_to_do(folder: Path) -> None:
    """One sentence, exit code 2."""
    done = start(folder)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "install one" in done.stderr


def test_another_python_does_not_do(folder: Path) -> None:
    """An old python3 on PATH leads to the same sentence and not to a syntax error."""
    plant(folder / "python3", UNFIT)
    done = start(folder)
    assert done.returncode == 2
    assert "no CPython 3.11 found" in done.stderr


@pytest.mark.parametrize(
    "place", ["python3.11", "python3", ".pyenv/versions/3.11.7/bin/python3.11"]
)
def test_a_fit_python_gets_the_arguments_as_they_are(folder: Path, place: str) -> None:
    """On PATH or in pyenv; blanks in an argument stay."""
    plant(folder / place, FIT)
    done = start(folder, "call", "a b")
    assert done.returncode == 0
    assert done.stdout == f"-IS {LAUNCHER.parent}/build-support/launch.py call a b\n"


def test_a_python_that_only_uv_knows_is_used(folder: Path) -> None:
    """Where uv keeps a 3.11, nothing has to be installed."""
    plant(folder / "hidden" / "python", FIT)
    plant(folder / "uv", f"#!/bin/sh\necho {folder}/hidden/python\n")
    assert start(folder, "env").stdout.endswith("launch.py env\n")
