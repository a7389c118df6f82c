"""Where requests go: by rules, by the classifier, and what that is worth."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.language.request_coordinator.routing import routed, scored
from services.language.request_coordinator.weights import BIASES, PACKED, SCALE
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.ml.classifying.linear import Linear
from tests.unit.services.language.request_coordinator.asking import Beside, coordinating
from tools.routes.__main__ import train
from tools.routes.examples import Example, handwritten, split
from tools.routes.judging import judged

# What was measured less its confidence interval: docs/design/language.md.
_HELD_OUT_MIN, _HANDWRITTEN_MIN, _RECALL_MIN = 0.92, 0.80, 0.70


@pytest.fixture(scope="module")
def classifier() -> Linear:
    """The one that agents run."""
    return Linear.read(PACKED, BIASES, SCALE)


@pytest.mark.parametrize(
    ("examples", "least"),
    [(split().held_out, _HELD_OUT_MIN), (handwritten(), _HANDWRITTEN_MIN)],
    ids=["templates", "handwritten"],
)
def test_the_classifier_is_as_good_as_it_was(
    classifier: Linear, examples: list[Example], least: float
) -> None:
    """On ways of asking that it was not trained on; by the classifier alone, without a rule."""
    found = judged(classifier, examples)
    assert found.accuracy >= least, found.table("judged")
    assert min(found.recall(route) for route in BIASES) >= _RECALL_MIN
    low, high = found.interval
    assert low < found.accuracy < high


def test_no_template_is_on_both_sides() -> None:
    """Or its score would be one of memory."""
    parts = split()
    assert not {one.text for one in parts.training} & {one.text for one in parts.held_out}
    assert not {one.text for one in parts.training} & {one.text for one in handwritten()}


def test_the_weights_are_those_of_the_examples(classifier: Linear) -> None:
    """Whoever changes the examples trains again: `python -m tools.routes`."""
    again = train().classifier()
    examples = [*split().held_out, *handwritten()]
    differing = [one for one in examples if _likeliest(classifier, one) != _likeliest(again, one)]
    # Another machine may round the last bit of a weight otherwise.
    assert len(differing) <= len(examples) // 200


def test_requests_of_people_arrive() -> None:
    """By rules and classifier together, which is what a caller gets."""
    missed = [one.text for one in handwritten() if _route(one.text) != f"ROUTE_{one.route}"]
    assert len(missed) <= (1 - _HANDWRITTEN_MIN) * len(handwritten()), missed


@pytest.mark.parametrize(
    ("text", "route", "rule"),
    [
        ("Remember that the key is blue.", nouns.ROUTE_MEMORY, "keep"),
        ("What did I tell you about the key?", nouns.ROUTE_MEMORY, "recall"),
        ("Which agents are down?", nouns.ROUTE_FLEET, "fleet"),
        ("What is 3 + 4?", nouns.ROUTE_TOOL, "sum"),
        ("5 miles in km", nouns.ROUTE_TOOL, "conversion"),
    ],
)
def test_a_rule_goes_before_the_classifier(
    text: str, route: nouns.Route.ValueType, rule: str
) -> None:
    """And is named."""
    wanted = nouns.Routing(route=route, basis=nouns.ROUTE_BASIS_RULE, rule=rule)
    assert routed(text, nouns.ROUTE_UNSPECIFIED) == wanted


def test_what_the_classifier_is_unsure_of_goes_to_documents() -> None:
    """It says how sure it was."""
    found = routed("xylophone quux", nouns.ROUTE_UNSPECIFIED)
    assert (found.route, found.basis) == (nouns.ROUTE_KNOWLEDGE, nouns.ROUTE_BASIS_DEFAULT)
    assert 0 < found.confidence < 0.5


async def test_classify_asks_nobody(tmp_path: Path) -> None:
    """It says where a request would go, and how likely each route is."""
    beside = Beside()
    async with coordinating(tmp_path, beside) as agent:
        found = await agent.Classify(pb.ClassifyRequest(text="How do I rotate a secret?"))
    assert found.routing.route == nouns.ROUTE_KNOWLEDGE
    assert {one.route for one in found.scores} == {
        number for number in nouns.Route.values() if number
    }
    assert sum(one.probability for one in found.scores) == pytest.approx(1.0)
    assert not beside.asked


def _route(text: str) -> str:
    return nouns.Route.Name(routed(text, nouns.ROUTE_UNSPECIFIED).route)


def _likeliest(classifier: Linear, example: Example) -> str:
    found = classifier.probabilities(example.text)
    return max(found, key=lambda route: found[route])


def test_it_is_quick() -> None:
    """It runs in the loop that serves: of the longest text it looks at the first words alone."""
    assert scored("word " * 1600) == scored("word " * 60)
    assert scored("w" * 8192) == scored("w" * 32)
    begun_s = time.thread_time()
    for text in ("remember that a" + " " * 8000 + "b", "(" * 8000, "9" * 8000, "days from " * 800):
        routed(text, nouns.ROUTE_UNSPECIFIED)
    # Milliseconds where it is linear; what is not takes seconds.
    assert time.thread_time() - begun_s < 0.5
