"""Variables in values, and values by their kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.platform.config_server.book import Unusable, book, inline, source
from services.platform.config_server.kinds import Misfit, fits, parsed
from tandem.platform.config.v1 import config_server_pb2 as cfg
from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.written import expansion
from tandemkit.written.expansion import Unexpandable, expanded
from tests.unit.services.platform.config_server.config_servers import declaration, layer

SECRET = "a secret stands in a file of its own: name that by its absolute path"
KNOWN = {"HOME_NAME": "den", "EMPTY": "", "TOKEN": None}
_NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("${HOME_NAME}", "den"),
        ("a ${HOME_NAME:-other} b", "a den b"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-${HOME_NAME}s}", "dens"),
        ("${NONE:-${ALSO_NONE:-deep}}!", "deep!"),
        ("costs $$5 {of course}", "costs $5 {of course}"),
        ("$${HOME_NAME}", "${HOME_NAME}"),
    ],
)
def test_variables_stand_for_what_was_handed_over(text: str, meant: str) -> None:
    """As in a shell, with `$$` for a dollar."""
    assert expanded(text, expansion.of(KNOWN)) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${NONE}", "no such variable"),
        ("${PATH}", "no such variable"),
        ("$HOME_NAME", "a lone"),
        ("${HOME_NAME", "never closed"),
        ("${}", "without a name"),
        ("${HOME_NAME:-${NONE}}", "no such variable"),
        ("${TOKEN}", "secret"),
        ("${TOKEN:-other}", "secret"),
        ("${A:-" * 9 + "}" * 9, "too deep"),
    ],
)
def test_what_cannot_be_expanded_says_why(text: str, why: str) -> None:
    """The process's own environment is nobody's to read, and a secret stays one."""
    with pytest.raises(Unexpandable, match=why):
        expanded(text, expansion.of(KNOWN))


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    """With its dollars doubled it means itself."""
    assert expanded(text.replace("$", "$$"), expansion.of(KNOWN)) == text


@given(_NAMES, st.text(), st.text(st.characters(exclude_characters="$}")))
def test_a_variable_is_put_in_as_it_is(name: str, text: str, otherwise: str) -> None:
    """What it stands for is no text to expand again."""
    found = expanded(f"<${{{name}:-{otherwise}}}>", expansion.of({name: text}))
    assert found == f"<{text or otherwise}>"


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    """It is expanded or refused."""
    try:
        expanded(text, expansion.of(KNOWN))
    except Unexpandable as error:
        assert error.message


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("FLAG", "true", nouns.ConfigValue(flag=True)),
        ("WHOLE", "-5", nouns.ConfigValue(whole=-5)),
        ("REAL", "2.5", nouns.ConfigValue(real=2.5)),
        ("TEXT", " as it is ", nouns.ConfigValue(text=" as it is ")),
        ("TEXTS", "a, b", nouns.ConfigValue(texts=nouns.ConfigTexts(texts=["a", "b"]))),
        ("TEXTS", "", nouns.ConfigValue(texts=nouns.ConfigTexts())),
        ("SECRET_FILE", "/run/key", nouns.ConfigValue(secret_file="/run/key")),
    ],
)
def test_a_text_is_read_by_its_kind(kind: str, text: str, value: nouns.ConfigValue) -> None:
    """And the value fits that kind and no other."""
    wanted = nouns.ConfigKind.Value(f"CONFIG_KIND_{kind}")
    assert parsed(text, wanted) == value
    assert [one for one in nouns.ConfigKind.values() if one and fits(value, one)] == [wanted]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("FLAG", "yes"),
        ("WHOLE", "5.0"),
        ("WHOLE", str(2**63)),
        ("REAL", "nan"),
        ("REAL", "five"),
        ("TEXT", "x" * 20_000),
        ("DURATION", "5"),
        ("DURATION", "1h"),
        ("SECRET_FILE", "hunter2"),
    ],
)
def test_a_text_of_another_kind_is_refused(kind: str, text: str) -> None:
    """A secret that somebody wrote down itself among them."""
    with pytest.raises(Misfit):
        parsed(text, nouns.ConfigKind.Value(f"CONFIG_KIND_{kind}"))


def test_every_mistake_of_the_files_is_told() -> None:
    """All at once, each with the file and the key."""
    one = cfg.ConfigFile(
        declarations=[
            declaration("gateway.port", "whole", "${PORT}"),
            declaration("gateway.port", "text"),
            declaration("gateway.key", "secret_file", "hunter2"),
        ],
        settings=[layer("machine", "pc2", prt="1")],
    )
    with pytest.raises(Unusable) as raised:
        book([inline(one)], [])
    assert [problem.split(" (")[0] for problem in raised.value.problems] == [
        "settings: `gateway.port`: no such variable was handed over",
        "settings: `gateway.port` is declared twice",
        f"settings: `gateway.key`: {SECRET}",
        "settings: no file declares `gateway.prt`; did you mean `gateway.port`?",
    ]


@pytest.mark.parametrize(
    "content",
    [b"declarations: [", b"keys: []", b"declarations:\n  - {key: A, kind: whole}", b"\xff", b"- a"],
)
def test_a_file_that_is_none_is_refused(content: bytes) -> None:
    """With its name, whatever is in it."""
    with pytest.raises(Unusable, match=r"config\.yaml"):
        source("config.yaml", content)
