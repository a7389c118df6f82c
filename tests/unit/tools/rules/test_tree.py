"""The tree is what git would track, found without git."""

from __future__ import annotations

from pathlib import Path

from tandemkit.audit.finding import Finding
from tools.rules.tree import Tree

_IGNORED = "# What no commit holds.\n/dist/\n__pycache__/\n*.py[co]\n/build-support/*.lock\n"


def test_ignored_files_are_no_part_of_the_tree(tmp_path: Path) -> None:
    """Anchored and floating patterns, of folders and of names, are each read as git reads them."""
    kept = ("a.py", "libs/dist/b.py", "docs/build-support/x.lock", ".github/workflows/ci.yaml")
    dropped = (
        "dist/a.whl",
        "libs/__pycache__/a.pyc",
        "libs/a.pyc",
        "build-support/x.lock",
        ".git/config",
    )
    for path in (*kept, *dropped):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("", encoding="utf-8")
    (tmp_path / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    assert set(Tree.read(tmp_path).files) == {*kept, ".gitignore"}


def test_a_binary_has_no_text_and_a_link_is_not_followed(tmp_path: Path) -> None:
    """What is no text is there by its name alone; what a link points to belongs elsewhere."""
    (tmp_path / "image.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "outside.py").symlink_to("/etc/hostname")
    assert Tree.read(tmp_path).files == {"image.png": ""}


def test_a_finding_reads_like_a_compilers() -> None:
    """Path, line and, where it helps, the column come first, so that editors can jump there."""
    assert str(Finding("a.py", 3, "size", "too large")) == "a.py:3: size: too large"
    assert str(Finding("a.yaml", 3, "fleet", "unknown", 7)) == "a.yaml:3:7: fleet: unknown"
