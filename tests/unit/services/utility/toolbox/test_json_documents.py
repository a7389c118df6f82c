"""JSON: what is accepted, its canonical form, patches and differences."""

import copy
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.toolbox.document import canonical, comparing, patches, values
from services.utility.toolbox.document.patches import Operation, Step
from services.utility.toolbox.document.values import Budget, Value
from services.utility.toolbox.limits import Limits
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.toolbox.json_values import ALIKE, VALUES

LIMITS = Limits(document_bytes_max=10_000, document_depth_max=20)


def read(text: str) -> Value:
    return values.parse(text, LIMITS, field="document")


def budget() -> Budget:
    return Budget(100_000)


def applied(document: Value, *operations: Operation) -> Value:
    return patches.apply(copy.deepcopy(document), operations, budget(), depth_max=50)


@given(VALUES)
def test_a_document_is_read_as_it_was_written(value: Value) -> None:
    """Values survive the text, big integers and the kind of each number included."""
    assert repr(read(values.dump(value))) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e400",
        '{"a":1,"a":2}',
        '[{"b":{"c":1,"c":1}}]',
        r'"\ud800"',
        r'{"\udfff":1}',
        "1" * 1_001,
        "[1,]",
        "'a'",
        "01",
        "\ufeff{}",
    ],
)
def test_what_other_parsers_would_disagree_on_is_refused(text: str) -> None:
    """Duplicate names, half surrogates, and numbers that are none: DOCUMENT_INVALID."""
    with pytest.raises(CallerError) as refused:
        read(text)
    assert refused.value.reason == errors.ERROR_REASON_DOCUMENT_INVALID
    assert refused.value.field == "document"


@pytest.mark.parametrize("depth", [21, 2_000, 4_999])
def test_documents_nested_too_deeply_are_refused(depth: int) -> None:
    """Far beyond the limit the parser itself gives up, and the answer is the same."""
    with pytest.raises(CallerError) as refused:
        read("[" * depth + "]" * depth)
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE
    assert read("[" * 20 + "]" * 20)


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_of_rfc_8785(bits: str, text: str) -> None:
    """The samples of its appendix B."""
    (double,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical.number(double) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_canonical_number_is_the_same_number(value: float) -> None:
    """The form changes, the value does not."""
    assert float(canonical.number(value)) == value


@given(VALUES)
def test_the_canonical_form_is_its_own(value: Value) -> None:
    """Once canonical, always canonical; and nothing but the form changed."""
    try:
        once = canonical.canonicalize(value)
    except CallerError as refused:
        assert refused.reason == errors.ERROR_REASON_DOCUMENT_INVALID
        return
    assert canonical.canonicalize(json.loads(once)) == once
    doubles = (json.loads(text, parse_int=float) for text in (once, values.dump(value)))
    assert values.equal(*doubles)


def test_names_are_sorted_by_utf_16() -> None:
    """RFC 8785, section 3.2.3: the order is not that of code points."""
    text = '{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}'
    written = canonical.canonicalize(read(text))
    assert list(json.loads(written)) == ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]


@pytest.mark.parametrize("text", ["9007199254740993", "1" + "0" * 400])
def test_integers_that_no_double_holds_have_no_canonical_form(text: str) -> None:
    """Rounding them silently would sign another document."""
    with pytest.raises(CallerError):
        canonical.canonicalize(read(text))


@given(ALIKE, ALIKE)
def test_a_difference_applied_gives_the_other_document(before: Value, after: Value) -> None:
    """And exactly that one: 1 is not 1.0, true is not 1, and 0.0 has a sign."""
    changes = list(comparing.difference(before, after, budget()))
    result = applied(before, *changes)
    order_free = json.dumps(result, sort_keys=True), json.dumps(after, sort_keys=True)
    assert order_free[0] == order_free[1]


@given(ALIKE)
def test_a_document_does_not_differ_from_itself(value: Value) -> None:
    """No operations for nothing."""
    assert list(comparing.difference(value, copy.deepcopy(value), budget())) == []


@given(ALIKE, ALIKE)
def test_merging_is_settled_after_one_time(document: Value, patch: Value) -> None:
    """A merge patch applied twice does what it does once."""
    once = patches.merge(document, patch)
    assert values.equal(patches.merge(once, patch), once)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
        ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
        ('["a","b"]', '["c","d"]', '["c","d"]'),
        ('{"a":"foo"}', "null", "null"),
        ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
        ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
        ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
    ],
)
def test_merge_patches_of_rfc_7386(document: str, patch: str, expected: str) -> None:
    """The samples of its appendix A."""
    assert values.dump(patches.merge(read(document), read(patch))) == expected


@pytest.mark.parametrize(
    ("document", "operation", "expected"),
    [
        ({"a": 1}, Operation(Step.ADD, ("b",), value=2), {"a": 1, "b": 2}),
        ([1, 3], Operation(Step.ADD, ("1",), value=2), [1, 2, 3]),
        ([1], Operation(Step.ADD, ("-",), value=2), [1, 2]),
        ([1, 2], Operation(Step.REMOVE, ("0",)), [2]),
        ({"a": 1}, Operation(Step.REPLACE, (), value=2), 2),
        ({"a": {"b": 1}}, Operation(Step.MOVE, ("c",), ("a", "b")), {"a": {}, "c": 1}),
        ({"a": [1]}, Operation(Step.COPY, ("b",), ("a",)), {"a": [1], "b": [1]}),
        ({"": {"/": 1}}, Operation(Step.TEST, ("", "/"), value=1.0), {"": {"/": 1}}),
        ([1, 2], Operation(Step.MOVE, ("0",), ("1",)), [2, 1]),
    ],
)
def test_operations_of_rfc_6902(document: Value, operation: Operation, expected: Value) -> None:
    """Each operation does what its section says."""
    assert applied(document, operation) == expected


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ({"a": 1}, Operation(Step.REMOVE, ("b",))),
        ({"a": 1}, Operation(Step.REPLACE, ("b",), value=1)),
        ({"a": 1}, Operation(Step.ADD, ("b", "c"), value=1)),
        ([1], Operation(Step.ADD, ("2",), value=1)),
        ([1], Operation(Step.ADD, ("01",), value=1)),
        ([1], Operation(Step.REMOVE, ("-",))),
        ([1], Operation(Step.REMOVE, ("-1",))),
        ({"a": {}}, Operation(Step.MOVE, ("a", "b"), ("a",))),
        ({"a": 1}, Operation(Step.TEST, ("a",), value=True)),
        ({"a": "1"}, Operation(Step.TEST, ("a",), value=1)),
        ("a", Operation(Step.ADD, ("0",), value=1)),
    ],
)
def test_operations_that_do_not_fit_refuse_the_patch(document: Value, operation: Operation) -> None:
    """PATCH_REFUSED names the operation by its place."""
    with pytest.raises(CallerError) as refused:
        applied(document, Operation(Step.TEST, (), value=document), operation)
    assert refused.value.reason == errors.ERROR_REASON_PATCH_REFUSED
    assert refused.value.metadata["operation"] == "1"


def test_a_copy_shares_nothing_with_its_source() -> None:
    """Changing the one leaves the other as it was."""
    copied = Operation(Step.COPY, ("b",), ("a",))
    changed = Operation(Step.ADD, ("a", "-"), value=2)
    assert applied({"a": [1]}, copied, changed) == {"a": [1, 2], "b": [1]}


@pytest.mark.parametrize("seed", [[0], "x" * 1_000])
def test_a_patch_that_doubles_the_document_runs_out_of_steps(seed: Value) -> None:
    """Forty copies of everything would be a terabyte; the budget ends it long before."""
    doubling = [Operation(Step.COPY, (str(n + 1),), ("0",)) for n in range(4)]
    nesting = [Operation(Step.COPY, ("0", "0"), ()) for _ in range(40)]
    with pytest.raises(CallerError) as refused:
        applied([[seed]], *doubling, *nesting)
    assert refused.value.reason == errors.ERROR_REASON_TOO_LARGE


@given(st.lists(st.text(max_size=4), max_size=4))
def test_pointers_are_read_as_they_were_written(path: list[str]) -> None:
    """Slashes and tildes in names survive."""
    assert patches.pointer_path(patches.pointer(path)) == tuple(path)
