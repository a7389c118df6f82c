"""JSON Schema and JSONPath: right answers, and no document or schema that runs away."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.document import queries, schemas
from services.utility.toolbox.document.patterns import Patterns, iregexp_as_re2
from services.utility.toolbox.document.values import Budget, Value, equal
from services.utility.toolbox.limits import MIB
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.toolbox.json_values import ALIKE

STEPS = 200_000


def violations(document: Value, schema: Value, steps: int = STEPS) -> list[schemas.Violation]:
    budget = Budget(steps)
    patterns = Patterns(budget, memory_bytes_max=MIB, field="schema")
    return list(schemas.violations(document, schema, patterns, budget))


def selected(document: Value, query: str, steps: int = STEPS) -> list[queries.Node]:
    budget = Budget(steps)
    patterns = Patterns(budget, memory_bytes_max=MIB, field="query")
    return list(queries.select(document, query, patterns, budget))


def test_violations_say_where_and_why() -> None:
    """Each carries a pointer into the document, one into the schema, and the keyword."""
    schema: Value = {"properties": {"a/b": {"items": {"type": "integer"}}}, "required": ["c"]}
    found = violations({"a/b": [1, "x"]}, schema)
    assert [(one.instance_pointer, one.schema_pointer, one.keyword) for one in found] == [
        ("/a~1b/1", "/properties/a~1b/items/type", "type"),
        ("", "/required", "required"),
    ]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^a+$"}, ["aa", 1], ["b"]),
        ({"patternProperties": {"^x": {"type": "null"}}}, [{"x": None, "y": 1}], [{"xy": 1}]),
        (
            {
                "properties": {"a": {}},
                "patternProperties": {"b": {}},
                "additionalProperties": False,
            },
            [{"a": 1, "cb": 2}, 3],
            [{"c": 1}],
        ),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "1"}]),
        (
            {"uniqueItems": True},
            [[1, True, "1", [1], {"a": 1}]],
            [[1, 1.0], [{"a": 1}, {"a": 1.0}]],
        ),
        ({"multipleOf": 0.1}, [0.3, 1, 1e20], [0.25]),
        ({"multipleOf": 3}, [9, 10**400 - 1], [10**400]),
        ({"const": 1}, [1, 1.0], [True]),
        ({"enum": [[0], "a"]}, [[0], "a"], [[False]]),
        ({"type": "integer"}, [1, 1.0], [1.5, True]),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"minLength": 2}}}, ["é€"], ["é"]),
        ({"$ref": "#x", "$defs": {"x": {"$anchor": "x", "type": "null"}}}, [None], [0]),
        ({"prefixItems": [{"type": "null"}], "items": False}, [[None], []], [[None, 1]]),
        ({"if": {"type": "string"}, "then": {"maxLength": 1}}, ["a", 5], ["ab"]),
        (True, [1], []),
        (False, [], [1]),
    ],
)
def test_keywords_mean_what_the_draft_says(
    schema: Value, good: list[Value], bad: list[Value]
) -> None:
    """Those that are redone here above all."""
    assert all(not violations(document, schema) for document in good)
    assert all(violations(document, schema) for document in bad)


@given(ALIKE)
def test_every_document_is_its_own_constant(value: Value) -> None:
    """A schema made of a document accepts that document."""
    assert violations(value, {"const": value}) == []


@given(st.lists(ALIKE, max_size=5))
def test_unique_means_that_no_two_items_are_equal(items: list[Value]) -> None:
    """The written forms tell apart exactly what equality tells apart."""
    pairs = [(a, b) for index, a in enumerate(items) for b in items[index + 1 :]]
    unique = not any(equal(a, b) for a, b in pairs)
    assert (violations(items, {"uniqueItems": True}) == []) == unique


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"properties": 1},
        [],
        {"$ref": "https://example.org/schema"},
        {"$ref": "other.json"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"unevaluatedProperties": False},
        {"allOf": [{"unevaluatedItems": False}]},
        {"$id": "http://[", "$ref": "x"},
    ],
)
def test_schemas_that_cannot_be_used_are_refused(schema: Value) -> None:
    """Wrong, leading elsewhere, endless or unsupported: SCHEMA_INVALID."""
    with pytest.raises(CallerError) as refused:
        violations({}, schema)
    assert refused.value.reason == errors.ERROR_REASON_SCHEMA_INVALID
    assert refused.value.field == "schema"


def fan_out(levels: int) -> Value:
    """A schema of a few lines whose application doubles with each level."""
    defs: dict[str, Value] = {"d0": {"type": "null"}}
    for level in range(1, levels):
        reference: Value = {"$ref": f"#/$defs/d{level - 1}"}
        defs[f"d{level}"] = {"anyOf": [reference, reference]}
    return {"$ref": f"#/$defs/d{levels - 1}", "$defs": defs}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("document", "schema"),
    [
        (1, fan_out(40)),
        ([[0] * 100] * 50, {"items": {"enum": [[0] * 99 + [n] for n in range(1, 200)]}}),
        ("a" * 10_000, {"allOf": [{"pattern": f"(a+)+{n}$"} for n in range(1_000)]}),
        ([1] * 1_000, {"allOf": [{"items": {"type": "string"}}] * 1_000}),
        ({f"k{n}": n for n in range(1_000)}, {"required": [f"r{n}" for n in range(100_000)]}),
    ],
)
def test_schemas_that_multiply_work_run_out_of_steps(document: Value, schema: Value) -> None:
    """References that fan out, products of lists, patterns over long texts: all end."""
    with pytest.raises(CallerError) as refused:
        violations(document, schema, steps=100_000)
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE


def test_patterns_of_schemas_are_re2() -> None:
    """Look-around is refused with the field, and a pattern that hangs others does not hang here."""
    with pytest.raises(CallerError) as refused:
        violations("a", {"pattern": "(?=a)"})
    assert refused.value.reason == errors.ERROR_REASON_PATTERN_INVALID
    assert violations("a" * 5_000 + "!", {"pattern": "^(a+)+$"})


@given(ALIKE)
def test_every_node_of_a_document_is_found_at_its_own_path(value: Value) -> None:
    """A normalized path selects the node that it was reported for, and nothing else."""
    for node in selected(value, "$..*")[:20]:
        (again,) = selected(value, node.path)
        assert again.path == node.path
        assert json.dumps(again.value) == json.dumps(node.value)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$.a[0]", [1]),
        ("$.a[-1:]", ["xyz"]),
        ("$.a[?@ > 1]", [2]),
        ("$.a[?search(@, 'y')]", ["xyz"]),
        ("$.a[?match(@, 'x.z')]", ["xyz"]),
        ("$.a[?match(@, 'x')]", []),
        ("$.a[?search(@, '(')]", []),
        ("$.a[?length(@) == 3]", ["xyz"]),
        ("$['a','b'][0]", [1]),
        ("$.c", []),
    ],
)
def test_queries_select_what_rfc_9535_says(query: str, expected: list[Value]) -> None:
    """Names, slices, filters and the two functions with patterns."""
    document: Value = {"a": [1, 2, "xyz"], "b": {}}
    assert [node.value for node in selected(document, query)] == expected


@pytest.mark.parametrize(
    "query", ["", "a", "$.", "$[", "$.a[?", "$.a[?nope(@)]", "$" + ".a[?(" * 900, " $"]
)
def test_what_is_no_query_is_refused(query: str) -> None:
    """QUERY_INVALID on the query, also for one that is nested without end."""
    with pytest.raises(CallerError) as refused:
        selected({"a": [1]}, query)
    assert refused.value.reason == errors.ERROR_REASON_QUERY_INVALID
    assert refused.value.field == "query"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "query",
    [
        "$..*..*..*..*",
        "$..[?count($..*) > 0]",
        "$..[?@[?count($..*) > 0]]",
        "$" + "[*,*]" * 40,
        f"$..[?search(${'[0]' * 61}, '(a+)+b')]",
    ],
)
def test_queries_that_multiply_work_run_out_of_steps(query: str) -> None:
    """Descendants of descendants and queries in filters end at the limit."""
    document: Value = ["a" * 5_000]
    for _ in range(60):
        document = [document, 1]
    with pytest.raises(CallerError) as refused:
        selected(document, query, steps=10_000)
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a.b", r"a[^\r\n]b"),
        (r"a\.b[.^]$", r"a\.b[.^]\$"),
        ("^", r"\^"),
        (r"[\]].", r"[\]][^\r\n]"),
    ],
)
def test_i_regexps_become_re2(written: str, expected: str) -> None:
    """RFC 9485 has no anchors, and its dot stops at both line ends."""
    assert iregexp_as_re2(written) == expected
