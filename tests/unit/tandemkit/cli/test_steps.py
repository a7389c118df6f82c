"""Steps tell what goes on, and a failed one why."""

import io
import sys
from pathlib import Path

import pytest

from tandemkit.cli.steps import Step, StepFailure, Steps


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Terminal(io.StringIO):
    """A stream that says it is one, and touches `seen` once it was shown `awaited`."""

    def __init__(self, awaited: str, seen: Path) -> None:
        super().__init__()
        self._awaited = awaited
        self._seen = seen

    def write(self, text: str) -> int:
        if self._awaited in text:
            self._seen.touch()
        return super().write(text)

    def isatty(self) -> bool:
        return True


def python(code: str) -> Step:
    return Step("counting", (sys.executable, "-c", code), progress=lambda log: f"at {log.strip()}")


async def test_a_step_is_told_in_one_plain_line(tmp_path: Path) -> None:
    """A log file of a build holds no control characters."""
    told = io.StringIO()
    assert await Steps(told, tmp_path).run(python("print(3)")) == "3"
    assert told.getvalue().startswith("tandem: counting: ")
    assert "\033" not in told.getvalue()


async def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    """The live line shows the progress and is gone in the end."""
    seen = tmp_path / "seen"
    told = Terminal("at 7", seen)
    until_seen = f"while not Path({str(seen)!r}).exists(): pass"
    code = f"from pathlib import Path\nprint(7, flush=True)\n{until_seen}"
    await Steps(told, tmp_path).run(python(code))
    live, _, closing = told.getvalue().rpartition("\r\033[2K")
    assert "at 7" in live
    assert closing.startswith("tandem: counting: ")


async def test_a_failed_step_says_its_last_line(tmp_path: Path) -> None:
    """What a person needs is what the program said last."""
    with pytest.raises(StepFailure) as failed:
        await Steps(io.StringIO(), tmp_path).run(
            python("print('a\\n\\nb\\n'); raise SystemExit(1)")
        )
    assert failed.value.reason == "b"
    assert names_in(tmp_path) == []


async def test_a_program_that_is_not_there_fails_the_step(tmp_path: Path) -> None:
    """The same failure, whatever the cause."""
    with pytest.raises(StepFailure, match="looking"):
        await Steps(io.StringIO(), tmp_path).run(Step("looking", (str(tmp_path / "absent"),)))
