"""Fragments become a section, and the change log keeps what it said."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.cli import changelog
from tandemkit.cli.output import Refusal

DAY = date(2026, 1, 2)
LOG = "# Changes\n\nIntroduction.\n\n## Unreleased\n\nSee changes/.\n"

versions = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99)), unique=True, max_size=6
)


def planted(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name.replace('_', '.')}.md").write_text(text)
    return folder


def test_a_section_is_ordered_by_who_reads_it(tmp_path: Path) -> None:
    """Contracts stand before fixes, whatever the files are called."""
    found = changelog.fragments_in(planted(tmp_path, a_fix="Mended.", b_contract="New\nfield.\n"))
    assert changelog.section("0.2.0", DAY, found) == (
        "## 0.2.0 (2026-01-02)\n\n### Contracts\n\n- New\n  field.\n\n### Fixed\n\n- Mended.\n"
    )


def test_a_fragment_of_no_kind_is_refused_by_name(tmp_path: Path) -> None:
    """A fragment never goes missing because of its name."""
    with pytest.raises(Refusal, match=r"news\.md"):
        changelog.fragments_in(planted(tmp_path, news="Lost."))


def test_a_release_of_nothing_is_refused(tmp_path: Path) -> None:
    """A version without a change is a mistake."""
    with pytest.raises(Refusal, match="no fragment"):
        changelog.section("0.2.0", DAY, changelog.fragments_in(tmp_path))


@pytest.mark.parametrize("version", ["", "1", "v1.0.0", "1.0.0-rc1", "1.0"])
def test_a_version_is_three_numbers(version: str) -> None:
    """What later tools sort by has one form."""
    with pytest.raises(Refusal, match="no version"):
        changelog.section(version, DAY, [])


@given(versions)
def test_the_latest_version_stands_first_and_nothing_is_lost(
    released: list[tuple[int, int, int]],
) -> None:
    """However many releases there were, the head stays and the order is the newest first."""
    text = LOG
    titles = [f"## {'.'.join(map(str, version))}" for version in released]
    for title in titles:
        text = changelog.insert(text, f"{title} (2026-01-02)\n\nChanged.\n")
    found = [line.split(" (")[0] for line in text.splitlines() if line.startswith("## ")]
    assert found == ["## Unreleased", *reversed(titles)]
    assert text.startswith(LOG.rstrip())


def test_a_release_writes_the_log_and_removes_the_fragments(tmp_path: Path) -> None:
    """The next release does not tell the same again."""
    folder = tmp_path / "changes"
    folder.mkdir()
    (tmp_path / "CHANGELOG.md").write_text(LOG)
    found = changelog.fragments_in(planted(folder, a_fix="Mended."))
    changelog.release(tmp_path, changelog.section("0.2.0", DAY, found), found)
    assert "- Mended." in (tmp_path / "CHANGELOG.md").read_text()
    assert changelog.fragments_in(folder) == []
