"""The line that closes a CI run is true."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.summary import ReportFailure, Tally, main, tally_of, total

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest">
  <testcase name="a"/>
  <testcase name="b"><skipped message="no consul"/></testcase>
  <testcase name="c"><failure message="no"/></testcase>
  <testcase name="d"><error message="in a fixture"/></testcase>
  <testcase name="e"><system-out>noise</system-out></testcase>
</testsuite></testsuites>
"""

counts = st.integers(min_value=0, max_value=1000)
tallies = st.builds(Tally, counts, counts, counts)


def test_an_error_in_a_fixture_counts_as_failed(tmp_path: Path) -> None:
    """No way of not passing is lost."""
    report = tmp_path / "one.xml"
    report.write_text(REPORT)
    assert tally_of(report) == Tally(passed=2, failed=2, skipped=1)


def test_the_line_is_what_ci_looks_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All reports, at any depth, on one plain line."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "one.xml").write_text(REPORT)
    (tmp_path / "deep" / "two.xml").write_text(REPORT)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "4 passed, 4 failed, 2 skipped\n"


def test_a_run_without_reports_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where lint stopped the run, the line is there all the same."""
    assert main([str(tmp_path / "absent")]) == 0
    assert capsys.readouterr().out == "0 passed, 0 failed, 0 skipped\n"


def test_a_broken_report_is_no_silent_zero(tmp_path: Path) -> None:
    """A report that cannot be read fails and is named."""
    broken = tmp_path / "broken.xml"
    broken.write_text("<testsuites>")
    with pytest.raises(ReportFailure, match=r"broken\.xml"):
        total([broken])
    assert main([str(tmp_path)]) == 2


@given(tallies, tallies)
def test_sums_do_not_depend_on_the_order(one: Tally, other: Tally) -> None:
    """Reports are found in any order."""
    assert one + other == other + one
