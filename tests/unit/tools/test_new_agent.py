"""Names that no agent can have are refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.new_agent import NewAgent, Refusal, make, printed


@pytest.mark.parametrize(
    ("which", "rpc"),
    [
        ("summarize", ""),
        ("text/Summarize", ""),
        ("text/sum-marize", ""),
        ("text/", ""),
        ("text/a/b", ""),
        ("text_tools/summarize", ""),
        ("options/summarize", ""),
        ("text/import", ""),
        ("class/summarize", ""),
        ("text/summarize", "summarize"),
        ("text/summarize", "Summarize-Text"),
    ],
)
def test_a_name_that_no_agent_can_have_is_refused(which: str, rpc: str) -> None:
    """The refusal quotes what was asked."""
    with pytest.raises(Refusal, match="'"):
        NewAgent.asked(which, rpc)


def test_every_name_follows_from_one() -> None:
    """Family and agent give the service, the module, the short name and the first method."""
    new = NewAgent.asked("memory/session_memory")
    assert new.name.service == "tandem.memory.v1.SessionMemoryService"
    assert new.name.short == "memory-session-memory"
    assert new.rpc == "SessionMemory"


def test_an_agent_that_exists_is_left_alone(tmp_path: Path) -> None:
    """A second run writes nothing and says which file stands in the way."""
    make(NewAgent.asked("text/summarize"), tmp_path)
    module = tmp_path / "services/text/summarize.py"
    module.write_text("mine\n", encoding="utf-8")
    with pytest.raises(Refusal, match="exists already"):
        make(NewAgent.asked("text/summarize"), tmp_path)
    assert module.read_text(encoding="utf-8") == "mine\n"


def test_an_agent_that_outgrew_its_module_is_left_alone(tmp_path: Path) -> None:
    """A folder of the agent's name is the agent."""
    (tmp_path / "services/text/summarize").mkdir(parents=True)
    with pytest.raises(Refusal, match="services/text/summarize exists already"):
        make(NewAgent.asked("text/summarize"), tmp_path)


def test_a_method_that_a_sibling_has_is_refused(tmp_path: Path) -> None:
    """Two agents of one package cannot share the names of messages."""
    make(NewAgent.asked("text/summarize"), tmp_path)
    with pytest.raises(Refusal, match="--rpc"):
        make(NewAgent.asked("text/shorten", "Summarize"), tmp_path)


def test_the_second_agent_joins_the_first(tmp_path: Path) -> None:
    """Build line and stanza are added to what the family has."""
    make(NewAgent.asked("text/summarize"), tmp_path, write_all=True)
    files = printed(NewAgent.asked("text/translate"), tmp_path)
    assert files["services/text/BUILD"] == 'agent("summarize")\nagent("translate")\n'
    assert files["deploy/fleet/text.yaml"].count("agents:") == 1
    assert files["deploy/fleet/text.yaml"].count("service: tandem.text.v1.") == 2


def test_an_agent_to_call_has_to_be_there(tmp_path: Path) -> None:
    """And to have a name of its own among those that the module speaks of."""
    with pytest.raises(Refusal, match=r"no protos/tandem/text/v1/embed_service\.proto to call"):
        make(NewAgent.asked("text/summarize", calls=["text/embed"]), tmp_path)
    with pytest.raises(Refusal, match="one name in the module"):
        NewAgent.asked("text/search", calls=["web/search"])
