import fnmatch
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.files.globbing import name_pattern
from services.utility.files.search import Tally, search
from services.utility.files.store import Store
from services.utility.files.wire import query
from tandem.utility.v1 import file_pb2 as nouns
from tandem.utility.v1 import files_service_pb2 as pb
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.files.calls import make_folder, reason_of, write


def _search(store: Store, request: pb.SearchFilesRequest) -> tuple[list[nouns.FileMatch], Tally]:
    tally = Tally()
    walk = store.walk(request.path, recursive=True)
    batches = search(walk, query(request, store.limits), tally)
    return [match for batch in batches for match in batch], tally


@pytest.fixture(autouse=True)
def _files(store: Store) -> None:
    make_folder(store, "f", "src/deep")
    write(store, "1", "src/main.py", b"import os\n\nprint('Hello')\nprint('hello')")
    write(store, "2", "src/deep/late.py", b"x = 'hello'\n")
    write(store, "3", "binary", b"hello\0hello")
    write(store, "4", "notes.txt", "grüße\nhello ü\n".encode())


def test_lines_are_found_with_their_place(store: Store) -> None:
    """A match tells path, line, column and the line, in the order of the listing."""
    found, tally = _search(store, pb.SearchFilesRequest(content_pattern="hello"))
    assert [(one.path, one.line, one.column_bytes, one.excerpt) for one in found] == [
        ("notes.txt", 2, 0, "hello ü"),
        ("src/deep/late.py", 1, 5, "x = 'hello'"),
        ("src/main.py", 4, 7, "print('hello')"),
    ]
    assert tally == Tally(names_selected=6, files_skipped=1)


def test_case_can_be_ignored(store: Store) -> None:
    """With ignore_case, both spellings are found, one match for each line."""
    request = pb.SearchFilesRequest(content_pattern="hello", ignore_case=True, path="src")
    found, _ = _search(store, request)
    assert [one.line for one in found] == [1, 3, 4]


def test_anchors_and_sets_stay_within_a_line(store: Store) -> None:
    """`^` and `$` are a line's, and not even a negated set crosses into the next one."""
    found, _ = _search(store, pb.SearchFilesRequest(content_pattern=r"^hello [^x]$"))
    assert [one.excerpt for one in found] == ["hello ü"]
    found, _ = _search(store, pb.SearchFilesRequest(content_pattern=r"os\s+print"))
    assert found == []


def test_the_search_stops_at_its_limit_and_says_so(store: Store) -> None:
    """With more matches than asked for, the answer is cut and marked; with exactly as many, it is
    not.
    """
    found, tally = _search(store, pb.SearchFilesRequest(content_pattern="hello", matches_max=2))
    assert (len(found), tally.truncated) == (2, True)
    found, tally = _search(store, pb.SearchFilesRequest(content_pattern="hello", matches_max=3))
    assert (len(found), tally.truncated) == (3, False)


def test_files_over_the_limit_are_skipped_and_counted(store: Store, root: Path) -> None:
    """A file larger than the settings allow costs one stat, not its content."""
    with (root / "huge.txt").open("wb") as file:
        file.truncate(store.limits.search_file_bytes_max + 1)
    found, tally = _search(store, pb.SearchFilesRequest(name_glob="huge*", content_pattern="."))
    assert (found, tally.files_skipped) == ([], 1)


def test_a_long_line_is_shown_in_part(store: Store) -> None:
    """The excerpt holds the match and is bounded, whatever the line."""
    write(store, "5", "long.txt", b"a" * 5000 + b"needle" + b"b" * 5000)
    found, _ = _search(store, pb.SearchFilesRequest(content_pattern="needle"))
    assert found[0].column_bytes == 5000
    assert "needle" in found[0].excerpt
    assert len(found[0].excerpt) == 256


@pytest.mark.parametrize(
    ("glob", "paths"),
    [
        ("*.py", ["src/deep/late.py", "src/main.py"]),
        ("src/*.py", ["src/main.py"]),
        ("src/**", ["src/deep", "src/deep/late.py", "src/main.py"]),
        ("**/*.py", ["src/deep/late.py", "src/main.py"]),
        ("**/deep/*", ["src/deep/late.py"]),
        ("?ain.py", ["src/main.py"]),
        ("[lm]a*.py", ["src/deep/late.py", "src/main.py"]),
        ("[!l]a*.py", ["src/main.py"]),
        ("main[.]py", ["src/main.py"]),
        ("(main|late).py", []),
    ],
)
def test_globs_select_names(store: Store, glob: str, paths: list[str]) -> None:
    """Without a content pattern a search is for names, files and folders alike."""
    found, _ = _search(store, pb.SearchFilesRequest(name_glob=glob))
    assert [one.path for one in found] == paths


@given(glob=st.text(st.sampled_from("ab*?"), max_size=8), name=st.text("ab", max_size=8))
def test_simple_globs_agree_with_the_shells(glob: str, name: str) -> None:
    """Within one component, `*` and `?` mean what they mean everywhere."""
    expected = fnmatch.fnmatchcase(name, re.sub(r"\*+", "*", glob))
    assert (name_pattern(glob).fullmatch(name.encode()) is not None) == expected


@given(st.text(max_size=30))
def test_any_glob_compiles_or_is_refused(glob: str) -> None:
    """No text crashes the translation, and an unsound one is the caller's error."""
    try:
        name_pattern(glob)
    except CallerError as error:
        refused = error
        assert refused.field == "name_glob"


def test_an_unsound_pattern_is_refused(store: Store) -> None:
    """What RE2 does not take is the caller's error, with its field."""
    for pattern in ("(", r"(a)\1", "a{1001}", "(?=a)"):
        with pytest.raises(CallerError) as raised:
            query(pb.SearchFilesRequest(content_pattern=pattern), store.limits)
        assert reason_of(raised.value) == "BAD_FILE_REQUEST"
        assert raised.value.field == "content_pattern"


def test_a_pattern_that_explodes_elsewhere_is_linear_here(store: Store) -> None:
    """The textbook case of catastrophic backtracking ends at once."""
    write(store, "5", "victim", b"a" * 200_000 + b"!")
    found, _ = _search(store, pb.SearchFilesRequest(content_pattern="^(a+)+$", path=""))
    assert found == []
