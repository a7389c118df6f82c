"""The contracts keep buf's rules, and today's callers keep working."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.repo.checkout import root
from tools import contracts

_REPOSITORY = root()
_PROTOS = _REPOSITORY / "protos"
_BASELINE = _PROTOS / "baseline.binpb"
_CONFIG = _REPOSITORY / "buf.yaml"

# A field of a message that will always be there.
_FILE = "tandem/fleet/v1/stanza.proto"
_FIELD = "  int32 replicas = 3"

Change = Callable[[str], str]


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[Change], Path]:
    """The image of a copy of the contracts in which one file was changed."""

    def plant(change: Change) -> Path:
        protos = tmp_path / "protos"
        shutil.copytree(_PROTOS, protos)
        before = (protos / _FILE).read_text(encoding="utf-8")
        after = change(before)
        assert after != before, "the planted change found nothing to change"
        (protos / _FILE).write_text(after, encoding="utf-8")
        return _image(protos, tmp_path)

    return plant


def test_contracts_keep_bufs_rules(tmp_path: Path) -> None:
    """Every contract passes STANDARD and COMMENTS."""
    _expect_none(contracts.lint(_image(_PROTOS, tmp_path), _CONFIG))


def test_contracts_break_no_caller_of_the_last_release(tmp_path: Path) -> None:
    """What the baseline promised still holds."""
    _expect_none(contracts.breaking(_image(_PROTOS, tmp_path), _BASELINE, _CONFIG))


def test_the_baseline_holds_every_import_and_no_comment() -> None:
    """The baseline can be read on its own, and an edited comment does not change it."""
    baseline = FileDescriptorSet.FromString(_BASELINE.read_bytes())
    names = {file.name for file in baseline.file}
    assert all(imported in names for file in baseline.file for imported in file.dependency)
    assert not any(file.HasField("source_code_info") for file in baseline.file)


def test_a_change_of_contracts_brings_its_news(tmp_path: Path) -> None:
    """Where contracts differ from those of the last release, a fragment tells callers."""
    today = tmp_path / "today.binpb"
    contracts.write_baseline(_PROTOS, today)
    if today.read_bytes() != _BASELINE.read_bytes():
        assert list(_REPOSITORY.glob("changes/*.contract.md")), "add changes/<slug>.contract.md"


def test_the_same_contracts_make_the_same_baseline(tmp_path: Path) -> None:
    """Writing the baseline twice gives the same bytes, so that only a real change shows."""
    first, second = tmp_path / "first.binpb", tmp_path / "second.binpb"
    contracts.write_baseline(_PROTOS, first)
    contracts.write_baseline(_PROTOS, second)
    assert first.read_bytes() == second.read_bytes()


def test_a_changed_type_is_found_by_name(planted: Callable[[Change], Path], tmp_path: Path) -> None:
    """A planted breaking change is reported with buf, the file, the message and the field."""
    before = tmp_path / "before.binpb"
    contracts.write_baseline(_PROTOS, before)
    after = planted(_widened)
    found = _listed(contracts.breaking(after, before, _CONFIG))
    assert re.match(rf"protos/{_FILE}:[0-9]+: buf: FIELD_SAME_TYPE: ", found)
    assert '"replicas"' in found
    assert '"Stanza"' in found


def test_a_removed_field_is_found(planted: Callable[[Change], Path], tmp_path: Path) -> None:
    """A field that is deleted without reserving its number and name breaks callers."""
    before = tmp_path / "before.binpb"
    contracts.write_baseline(_PROTOS, before)
    after = planted(
        lambda text: re.sub(r"  int32 replicas = 3 \[.*?\];\n", "", text, flags=re.DOTALL)
    )
    assert "FIELD_NO_DELETE" in _listed(contracts.breaking(after, before, _CONFIG))


def test_a_renamed_field_is_found(planted: Callable[[Change], Path], tmp_path: Path) -> None:
    """A rename keeps the wire and breaks generated clients, which is why FILE is the rule set."""
    before = tmp_path / "before.binpb"
    contracts.write_baseline(_PROTOS, before)
    after = planted(lambda text: text.replace(_FIELD, "  int32 copies = 3"))
    assert "FIELD_SAME_NAME" in _listed(contracts.breaking(after, before, _CONFIG))


def test_a_new_field_breaks_nobody(planted: Callable[[Change], Path], tmp_path: Path) -> None:
    """An additive change passes."""
    before = tmp_path / "before.binpb"
    contracts.write_baseline(_PROTOS, before)
    after = planted(lambda text: text.replace("message Stanza {", f"message Stanza {{\n{_NEW}", 1))
    _expect_none(contracts.breaking(after, before, _CONFIG))
    _expect_none(contracts.lint(after, _CONFIG))


_NEW = "  // Why it runs, for people. Empty: nobody said.\n  string purpose = 15;\n"


def test_an_uncommented_field_is_found(planted: Callable[[Change], Path]) -> None:
    """buf's COMMENTS rules are on."""
    after = planted(lambda text: text.replace("{", "{\n  string bare = 15;\n", 1))
    assert "COMMENT_FIELD" in _listed(contracts.lint(after, _CONFIG))


def test_an_answer_of_empty_is_found(planted: Callable[[Change], Path]) -> None:
    """Each method has a response of its own: `Empty` can never grow a field."""
    after = planted(lambda text: text + _SERVICE_OF_EMPTY)
    assert "RPC_RESPONSE_STANDARD_NAME" in _listed(contracts.lint(after, _CONFIG))


_SERVICE_OF_EMPTY = """
import "google/protobuf/empty.proto";
// Planted.
message StartRequest {}
// Planted.
service PlantedService {
  // Planted.
  rpc Start(StartRequest) returns (google.protobuf.Empty);
}
"""


def test_a_missing_baseline_fails(tmp_path: Path) -> None:
    """Without a baseline nothing would be compared, so its absence is a failure that says so."""
    with pytest.raises(contracts.BufFailure, match="no breaking change is seen"):
        contracts.breaking(_image(_PROTOS, tmp_path), tmp_path / "gone.binpb", _CONFIG)


def _widened(text: str) -> str:
    return text.replace(_FIELD, "  int64 replicas = 3").replace("int32 = {", "int64 = {")


def _image(protos: Path, folder: Path) -> Path:
    made = folder / "image.binpb"
    contracts.image(protos, made)
    return made


def _listed(findings: list[contracts.ContractFinding]) -> str:
    return "\n".join(str(finding) for finding in findings)


def _expect_none(findings: list[contracts.ContractFinding]) -> None:
    """Fails with one finding a line and nothing else: pytest would cut a long comparison."""
    if findings:
        pytest.fail(_listed(findings), pytrace=False)
