"""Contract, code, build, running and behaviour of each agent agree; a planted gap is seen."""

from __future__ import annotations

import pytest

from tests.repo import planted_family as planted
from tools.rules import call_graph, facts, stanzas
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree


def test_a_healthy_family_has_no_finding() -> None:
    """The tree that the planted gaps are made in is itself without one."""
    tree = planted.healthy()
    assert _facts(tree) == []
    assert _calls(tree) == []
    assert _stanzas(tree) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (planted.CALLER, "no code"),
        (planted.BUILD, 'agent("tell")'),
        (planted.FLEET, "a stanza of tandem.tale.v1.TellService"),
        (planted.TESTS, "no tests"),
    ],
)
def test_a_missing_fact_is_named_by_its_path(path: str, said: str) -> None:
    """Without the file, the finding stands at the path where it should be."""
    found = _facts(planted.healthy().with_files({path: None}))
    assert found
    assert all(finding.startswith(f"{path}:1: five-facts: missing: ") for finding in found)
    assert any(said in finding for finding in found)


def test_a_missing_contract_is_named_by_every_fact_left_behind() -> None:
    """Code, build line and stanza of a removed contract are each found."""
    found = _facts(planted.healthy().with_files({planted.CONTRACT: None}))
    paths = {finding.split(":")[0] for finding in found}
    assert paths == {planted.CALLER, planted.BUILD, planted.FLEET}


def test_code_that_serves_another_contract_is_caught() -> None:
    """A module serves the contract that its own name says."""
    tree = planted.changed(
        planted.CALLEE, lambda text: text.replace("recall_service", "tell_service")
    )
    (finding,) = _facts(tree)
    assert finding.startswith(f"{planted.CALLEE}:")
    assert "by its place it is tandem/tale/v1/recall_service.proto" in finding


def test_code_without_a_declaration_is_caught() -> None:
    """A module that nobody can host is no agent."""
    tree = planted.changed(planted.CALLEE, lambda text: text.replace("AGENT = Agent(", "dict("))
    assert any("declares no" in finding for finding in _facts(tree))


def test_an_outgrown_agent_is_found_in_its_folder() -> None:
    """A folder with agent.py takes the place of the module, and nothing else changes."""
    tree = planted.healthy()
    moved = {
        planted.CALLEE: None,
        "services/tale/recall/agent.py": tree.files[planted.CALLEE],
        "tests/unit/services/tale/test_recall.py": None,
        "tests/unit/services/tale/recall/test_agent.py": "",
    }
    assert _facts(tree.with_files(moved)) == []


@pytest.mark.parametrize(
    ("runtime", "program", "imported"),
    [
        ("RUNTIME_GO", "services/tale/go/main.go", '"tandem/tale/agents/recall"'),
        ("RUNTIME_NODE", "services/tale/node/src/main.ts", '"./agents/recall/agent.js"'),
    ],
)
def test_an_agent_of_another_language_stands_in_the_program_of_it(
    runtime: str, program: str, imported: str
) -> None:
    """In place of a line of BUILD: that program has all agents of its language."""
    tree = planted.changed(
        planted.CALLEE,
        lambda text: text.replace("build=build)", f"runtime={runtime})").replace(
            "from tandem.", f"from tandem.fleet.v1.runtime_pb2 import {runtime}\nfrom tandem.", 1
        ),
    )
    (finding,) = _facts(tree)
    assert finding.startswith(f"{program}:1: five-facts: missing: the import of recall")
    assert _facts(tree.with_files({program: f"import {imported}"})) == []


def test_what_the_kit_answers_itself_is_no_agent() -> None:
    """A contract that says so needs no place, build line or stanza; what serves and tests it does
    have to stand in the kit.
    """
    said = "  option (tandem.options.v1.plumbing) = true;\n"
    tree = planted.changed(planted.CONTRACT, lambda text: text.replace("{\n", "{\n" + said, 1))
    agent_facts = (planted.CALLER, planted.BUILD, planted.FLEET)
    left = {finding.split(":")[0] for finding in _facts(tree)}
    assert left == {*agent_facts, "libs/tandemkit/hosting/", "tests/unit/tandemkit/"}
    stub = "from tandem.tale.v1 import tell_service_pb2_grpc\n"
    kit = {"libs/tandemkit/hosting/tell.py": stub, "tests/unit/tandemkit/test_tell.py": stub}
    left = {finding.split(":")[0] for finding in _facts(tree.with_files(kit))}
    assert left == set(agent_facts)


def test_an_undeclared_call_is_caught() -> None:
    """A stub that is imported without being declared would hide a dependency."""
    tree = planted.changed(
        planted.CALLER, lambda text: text.replace("(recall_service_pb2.DESCRIPTOR,)", "()")
    )
    (finding,) = _calls(tree)
    assert finding.startswith(f"{planted.CALLER}:")
    assert "tandem/tale/v1/recall_service, which stands neither" in finding


def test_a_call_that_is_never_made_is_caught() -> None:
    """A declared dependency without a stub would delay a start for nothing."""
    tree = planted.changed(
        planted.CALLER,
        lambda text: text.replace("from tandem.tale.v1 import recall_service_pb2\n", ""),
    )
    assert any("imports no stub of it" in finding for finding in _calls(tree))


def test_a_cycle_of_calls_is_caught_and_a_soft_one_is_not() -> None:
    """Two agents that wait for each other never start; a soft call waits for nobody."""
    declared = "AGENT = Agent(contract=pb.DESCRIPTOR, "
    imported = "from tandem.tale.v1 import tell_service_pb2\n"

    def calling_back(kind: str) -> Tree:
        given = f"{declared}{kind}=(tell_service_pb2.DESCRIPTOR,), "
        return planted.changed(
            planted.CALLEE,
            lambda text: text.replace(declared, given).replace(
                "from tandem.", f"{imported}from tandem.", 1
            ),
        )

    (finding,) = _calls(calling_back("calls"))
    assert "can never start" in finding
    assert _calls(calling_back("soft_calls")) == []


@pytest.mark.parametrize(
    ("before", "after", "place", "said"),
    [
        ("replicas: 2", "replica: 2", "4:5", "has no field `replica`"),
        ("replicas: 2", "replicas: 99", "4:15", "`agents[0].replicas`: must be"),
        ("replicas: 2", "replicas: two", "4:15", "`agents[0].replicas`"),
        ("replicas: 2", "replicas: 2\n    replicas: 3", "5:5", "stands here twice"),
        ("chars_max: 500", "chars_max: 0", "6:18", "`chars_max`: must be"),
        ("chars_max: 500", "chars: 500", "6:7", "TellSettings has no field `chars`"),
        ("pause: 1.5s", "pause: soon", "7:14", "`pause`"),
        ("name: tale-tell", "name: tale-yell", "2:11", "no instance of"),
        ("pause: 1.5s", "pause: 2026-01-01", "7:14", "`pause`"),
        ("pause: 1.5s", "pause: !!python/name:os.system x", "7:14", "`pause`"),
        ("pause: 1.5s", "? [pause]\n      : 1.5s", "7:9", "has no field"),
        ("settings:", "settings: 5\n    other:", "5:15", "is a mapping"),
        ("tale-recall-nightly", "tale-tell", "9:11", "runs already"),
        ("name: tale-tell", "name: Tale", "2:11", "`agents[0].name`"),
        ("agents:", "agent:", "1:1", "has no field `agent`"),
        ("[dragon]", "[dragon", "9:9", "expected"),
        (
            "tale-recall-nightly",
            "tale-recall-nightly\n    settings: {x: 1}",
            "10:15",
            "no settings",
        ),
    ],
)
def test_a_wrong_stanza_is_named_by_line_and_column(
    before: str, after: str, place: str, said: str
) -> None:
    """An operator is led to the very character, for the schema's fields and for the settings'."""
    found = _stanzas(planted.changed(planted.FLEET, lambda text: text.replace(before, after)))
    assert any(item.startswith(f"{planted.FLEET}:{place}: ") and said in item for item in found)


def _facts(tree: Tree) -> list[str]:
    return [str(finding) for finding in facts.check(tree)]


def _calls(tree: Tree) -> list[str]:
    return [str(finding) for finding in call_graph.check(tree)]


def _stanzas(tree: Tree) -> list[str]:
    return [str(finding) for finding in stanzas.check(tree, Contracts.of(tree))]
