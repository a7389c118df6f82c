from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.control.v1 import registration_pb2 as registration
from tandem.control.v1 import traffic_policy_pb2 as policies
from tandem.fleet.v1 import stanza_pb2 as stanzas
from tandemkit.core.names import OF_OTHERS, AgentName
from tandemkit.rpc import validation

FAMILIES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
WORDS = st.lists(st.from_regex(r"[A-Z][a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("service", "short", "module"),
    [
        ("tandem.text.v1.SummarizeService", "text-summarize", "services.text.summarize"),
        (
            "tandem.memory.v1.SessionMemoryService",
            "memory-session-memory",
            "services.memory.session_memory",
        ),
        (
            "tandem.memory.v2.RAGAnswererService",
            "memory-rag-answerer",
            "services.memory.rag_answerer",
        ),
    ],
)
def test_names_are_those_of_the_house_style(service: str, short: str, module: str) -> None:
    """The examples that the documents give."""
    name = AgentName.of(service)
    assert (name.short, name.module) == (short, module)


@given(family=FAMILIES, words=WORDS, version=st.integers(1, 99))
def test_every_name_derives_from_the_service(family: str, words: list[str], version: int) -> None:
    """File, target and module agree, and the service can be told from the words."""
    name = AgentName.of(f"tandem.{family}.v{version}.{''.join(words)}Service")
    snake = "_".join(word.lower() for word in words)
    assert name.words == tuple(word.lower() for word in words)
    assert name.target == f"services/{family}:{snake}"
    assert name.proto == f"tandem/{family}/v{version}/{snake}_service.proto"
    assert name.owns(name.short)
    assert name.owns(f"{name.short}-archive")
    assert not name.owns(f"{name.short}archive")


@pytest.mark.parametrize("service", OF_OTHERS)
def test_a_contract_of_others_has_a_name_of_ours_besides(service: str) -> None:
    """It is called by its own name, and everything else derives from ours: docs/adr/0039."""
    name, ours = AgentName.of(service), AgentName.of(OF_OTHERS[service])
    assert name.service == service
    assert (name.short, name.module, name.target) == (ours.short, ours.module, ours.target)
    assert name.package == OF_OTHERS[service].rpartition(".")[0]
    assert name.proto.startswith(f"{service.rpartition('.')[0].replace('.', '/')}/")


@pytest.mark.parametrize("service", OF_OTHERS)
def test_a_contract_of_others_stands_wherever_agents_are_named(service: str) -> None:
    """In the fleet's files, in a host's registration, and in the traffic policy."""
    placement = registration.Placement(service=service, serving=True)
    stanza = stanzas.Stanza(name=AgentName.of(service).short, service=service)
    policy = policies.ServicePolicy(service=service, concurrent_calls_max=1)
    for message in (placement, stanza, policy):
        wrong = [one for one in validation.violations(message) if one.field == "service"]
        assert not wrong


@given(text=st.text())
def test_what_is_no_service_of_ours_is_refused(text: str) -> None:
    """No text is mistaken for one."""
    with pytest.raises(ValueError, match="is no name of the form"):
        AgentName.of(text)


@pytest.mark.parametrize(
    "instance", ["", "text", "Text-summarize", "text-summarize-", "text--summarize"]
)
def test_a_malformed_instance_is_nobodys(instance: str) -> None:
    """An instance is the short name, or that with a suffix."""
    assert not AgentName.of("tandem.text.v1.SummarizeService").owns(instance)
