from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tandemkit.hosting import settings
from tandemkit.hosting.entrusted import Needed
from tests.unit.tandemkit.hosting.probe_agent import AGENT


def test_settings_reach_the_agent_that_they_name() -> None:
    """And an agent that is not named gets its defaults."""
    (named,) = settings.place([AGENT], {"probe-probe": {"text": "hello"}})
    (defaults,) = settings.place([AGENT], {})
    assert named.settings is not None
    assert defaults.settings is not None
    assert (named.settings.text, defaults.settings.text) == ("hello", "")  # type: ignore[attr-defined]  # made at run time


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"nobody": {}}, "settings for nobody, but this host serves probe-probe"),
        ({"probe-probe": {"txet": "a"}}, "no field named"),
        ({"probe-probe": {"text": 5}}, "probe-probe"),
        ({"probe-probe": ["text"]}, "an object of fields"),
        (
            {"probe-probe": {"text": "x" * 1001}},
            "probe-probe.text: must be at most 1000 characters",
        ),
    ],
)
def test_a_mistake_is_named(values: dict[str, object], said: str) -> None:
    """Unknown agents, fields, types and broken rules are refused before anything starts."""
    with pytest.raises(settings.BadSettings, match=said):
        settings.place([AGENT], values)


def test_an_agent_without_settings_takes_none() -> None:
    """And says so."""
    bare = replace(AGENT, settings=None)
    assert settings.place([bare], {})[0].settings is None
    with pytest.raises(settings.BadSettings, match="has no settings"):
        settings.place([bare], {"probe-probe": {"text": "a"}})


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot read"), ("{", "is no JSON"), ("[]", "holds no JSON object")]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    """With what is wrong with it."""
    path = tmp_path / "settings.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(settings.BadSettings, match=said):
        settings.read(path)


def test_no_file_means_no_settings() -> None:
    """Every agent then has its defaults."""
    assert settings.read(None) == {}


def test_a_file_names_the_store_of_state(tmp_path: Path) -> None:
    """Without one, agents keep it in files; with a mistake, nothing starts."""
    path = tmp_path / "store.json"
    assert settings.store(None).WhichOneof("place") is None
    path.write_text('{"postgres": {"dsnFile": "/run/dsn"}}')
    assert settings.store(path).postgres.dsn_file == "/run/dsn"
    for text, said in [
        ('{"postgres": {"dsnFile": "dsn"}}', "postgres.dsn_file"),
        ('{"mongo": {}}', "mongo"),
        ('{"files": {}, "redis": {}}', "place"),
    ]:
        path.write_text(text)
        with pytest.raises(settings.BadSettings, match=said):
            settings.store(path)


def test_a_host_without_a_plan_is_given_a_folder_of_secrets(tmp_path: Path) -> None:
    """All in it is for its agents, but for files that no secret is called like."""
    for name in ("api_key", "spare", ".api_key.new", "README.md"):
        (tmp_path / name).touch()
    (placed,) = settings.place([AGENT], {}, tmp_path)
    assert placed.needed == Needed(optional=("api_key", "spare"))
    with pytest.raises(settings.BadSettings, match=r"cannot read .*none: No such file"):
        settings.place([AGENT], {}, tmp_path / "none")
