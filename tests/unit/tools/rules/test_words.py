"""Names without meaning, missing docstrings and forgotten notes are caught."""

from __future__ import annotations

import pytest

from tests.unit.tools.rules.planted import Rule, found
from tools.rules import suppressions, words

_KIT = "libs/tandemkit/rpc/server.py"
_TEST = "tests/unit/test_x.py"
_LONG = '"""One.\n\nTwo.\nThree.\nFour.\nFive.\n"""\n'


@pytest.mark.parametrize(
    ("rule", "path", "text", "said"),
    [
        (words.names, _KIT, "class SessionManager: ...\n", "`Manager`"),
        (words.names, _KIT, "class HTTPHandler: ...\n", "`Handler`"),
        (words.names, "libs/tandemkit/rpc/call_utils.py", "x = 1\n", "`utils`"),
        (words.names, "libs/tandemkit/common/x.py", "x = 1\n", "`common`"),
        (words.names, _KIT, "class AgentBase: ...\n", "`Base`"),
        (words.module_docstrings, _KIT, "import json\n", "why it exists"),
        (words.module_docstrings, _KIT, _LONG, "6 lines"),
        (words.test_docstrings, _TEST, "def test_x():\n    pass\n", "`test_x`"),
        (words.test_docstrings, _TEST, 'def test_x():\n    """no full stop"""\n', "`test_x`"),
        (words.test_docstrings, _TEST, 'def test_x():\n    """One. Two."""\n', "`test_x`"),
        (words.marks, _KIT, "x = 1  # TODO: later\n", "TODO(#123)"),
        (words.marks, _KIT, "# FIXME(#12)\n", "`FIXME`"),
        (words.marks, "protos/tandem/text/v1/x.proto", "// XXX\n", "`XXX`"),
        (suppressions.check, _KIT, "x = 1  # noqa\n", "names the code"),
        (suppressions.check, _KIT, "x = 1  # noqa: S101\n", "says why"),
        (suppressions.check, _KIT, "x = y()  # type: ignore\n", "names the code"),
        (suppressions.check, _KIT, "x = y()  # type: ignore[arg-type]\n", "says why"),
        (suppressions.check, _KIT, "# ruff: noqa: S101\n", "says why"),
        (suppressions.check, _KIT, "# mypy: ignore-errors\n", "pyproject.toml"),
        (
            suppressions.check,
            _KIT,
            "x()  # type: ignore[misc]  # an untyped package  # noqa: S101\n",
            "`noqa` says why",
        ),
    ],
)
def test_a_bad_word_is_caught(rule: Rule, path: str, text: str, said: str) -> None:
    """The finding names the file and what is wrong with it."""
    (finding,) = found(rule, path, text)
    assert finding.startswith(f"{path}:")
    assert said in finding


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (words.names, "libs/tandemkit/ml/knowledge_base.py", "class KnowledgeBase: ...\n"),
        (words.names, _KIT, "class Database: ...\nclass Metadata: ...\nclass Basement: ...\n"),
        (words.module_docstrings, _KIT, '"""Why it exists."""\n'),
        (words.module_docstrings, "libs/tandemkit/rpc/__init__.py", ""),
        (
            words.test_docstrings,
            _TEST,
            'def test_x():\n    """Three of 1.5 s, e.g. here, hold."""\n',
        ),
        (words.test_docstrings, _TEST, "def attempt():\n    pass\n"),
        (words.marks, _KIT, "x = 1  # TODO(#12): when Pants has it\n"),
        (words.marks, _KIT, 'text = "# TODO: in a text"\n'),
        (suppressions.check, _KIT, "x = 1  # noqa: S101 - the checker cannot know it\n"),
        (suppressions.check, _KIT, "x = y()  # type: ignore[arg-type]  # untyped package\n"),
        (suppressions.check, _KIT, 'text = "# noqa"\n'),
    ],
)
def test_a_good_word_passes(rule: Rule, path: str, text: str) -> None:
    """Whole words count and comments count; parts of words and texts do not."""
    assert found(rule, path, text) == []
