from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.documents.chunking import Limits, chunks
from tandemkit.ml.documents.document import Document
from tandemkit.ml.documents.parsing import parsed
from tests.unit.tandemkit.ml.documents.holding import check

_PYTHON = '''"""A module."""

import os

# Says what it is.
@decorated
class Thing:
    """A thing."""

    def one(self):
        return 1

    # About two.
    async def two(self):
        def inner(): ...


def free():
    pass
'''
_GO = """package p

// T is a thing.
type T struct{}

// Do does.
// Twice.
func (t *T) Do() {}

const x = 1
"""
_JAVASCRIPT = """import x from "x";

/** Adds. */
export function add(a, b) { return a + b; }

/**
 * A class.
 */
export default class Foo {
  /** Says. */
  say() {}
}
"""
_TYPESCRIPT = """// A shape.
export interface Shape { side: number }

export namespace N {
  export class Inner {
    run(): void {}
  }
}
"""
_JAVA = """package p;

/** A thing. */
public class Thing {
  /** Runs. */
  @Override
  public void run() {}
}
"""
_RUST = """/// A thing.
#[derive(Debug)]
struct Thing;

impl Thing {
    /// New.
    pub fn new() -> Thing { Thing }
}
"""
_C = """#include <stdio.h>

/* Adds. */
static int *add(int a)
{
  return 0;
}

typedef struct pair { int a; } pair_t;
"""
_PROTO = """syntax = "proto3";

// A service; with a brace } in words.
service S {
  // Does.
  rpc Do(A) returns (B) { option x = "}"; }
  rpc Do2(A) returns (B);
}

/* A message. */
message A {
  message Inner { int32 x = 1; }
}
"""


def sections(text: str, name: str) -> dict[tuple[str, ...], str]:
    document = parsed(text.encode(), "", name)
    assert not document.remarks
    return {one.headings: document.text[one.start_char : one.end_char] for one in document.sections}


@pytest.mark.parametrize(
    ("text", "name", "paths"),
    [
        (_PYTHON, "a.py", "Thing Thing.one Thing.two free"),
        (_GO, "a.go", "T Do"),
        (_JAVASCRIPT, "a.js", "add Foo Foo.say"),
        (_TYPESCRIPT, "a.ts", "Shape N N.Inner N.Inner.run"),
        (_JAVA, "a.java", "Thing Thing.run"),
        (_RUST, "a.rs", "Thing Thing Thing.new"),
        (_C, "a.c", "add pair"),
        (_PROTO, "a.proto", "S S.Do S.Do2 A A.Inner"),
    ],
)
def test_definitions_are_the_headings_of_code(text: str, name: str, paths: str) -> None:
    """Each language's classes, functions and the like name what stands in them."""
    document = parsed(text.encode(), "", name)
    assert [".".join(one.headings) for one in document.sections] == paths.split()
    check(document, Limits(5, 20, 40))


@pytest.mark.parametrize(
    ("text", "name", "path", "start"),
    [
        (_PYTHON, "a.py", ("Thing",), "# Says what it is.\n@decorated\nclass"),
        (_PYTHON, "a.py", ("Thing", "two"), "    # About two.\n    async def"),
        (_GO, "a.go", ("Do",), "// Do does.\n// Twice.\nfunc"),
        (_JAVASCRIPT, "a.js", ("Foo",), "/**\n * A class.\n */\nexport default"),
        (_JAVA, "a.java", ("Thing", "run"), "  /** Runs. */\n  @Override"),
        (_RUST, "a.rs", ("Thing", "new"), "    /// New.\n    pub fn"),
        (_C, "a.c", ("add",), "/* Adds. */\nstatic"),
        (_PROTO, "a.proto", ("S", "Do"), "  // Does.\n  rpc Do("),
    ],
)
def test_comments_belong_to_what_they_document(
    text: str, name: str, path: tuple[str, ...], start: str
) -> None:
    """A definition begins with the comments and annotations right above it."""
    assert sections(text, name)[path].startswith(start)


@pytest.mark.parametrize("name", ["a.py", "a.go", "a.js", "a.proto", "a.rb", "a.yaml", "a.c"])
@given(text=st.text(st.sampled_from('ab{}()";:#/* \n\tdefclass'), max_size=200).filter(str.strip))
def test_any_text_under_a_name_of_code_is_covered(name: str, text: str) -> None:
    """What is no code of its language is read all the same."""
    check(parsed(text.encode(), "", name), Limits(2, 8, 16))


def test_code_that_does_not_parse_is_read_by_its_indentation() -> None:
    """A file with an error is still worth finding, and says that it was read otherwise."""
    document = parsed(b"def a(:\n    x\n\n    y\n\nz = 1\n", "", "a.py")
    assert document.remarks == ("not understood as code of its language",)
    assert [document.text[one.start_char : one.end_char] for one in document.blocks] == [
        "def a(:\n    x\n\n    y\n",
        "z = 1\n",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000,
        "a+" * 20_000 + "a",
        "x = " + "[" * 5_000 + "]" * 5_000,
        "a" + ".b" * 20_000,
        "/*" * 30_000,
        '"' * 30_001,
        "message A {" * 3_000,
        "message A {" * 3_000 + "}" * 3_000,
        "message A {\n" * 2_000 + "}\n" * 2_000,
        "class A {" * 3_000,
        "if (a) {" * 2_000,
        "if x:\n" + "".join(" " * n + "if x:\n" for n in range(1, 99)),
        "x" * 500_001,
    ],
)
@pytest.mark.parametrize("name", ["a.py", "a.js", "a.ts", "a.go", "a.rs", "a.c", "a.proto"])
@pytest.mark.timeout(30)
def test_hostile_code_ends_in_chunks_and_in_bounded_time(name: str, text: str) -> None:
    """Nesting without end and brackets without a partner exhaust no parser."""
    document: Document = parsed(text.encode(), "", name)
    assert "".join(one.text for one in chunks(document)).replace(" ", "").replace("\n", "") == (
        text.replace(" ", "").replace("\n", "")
    )
