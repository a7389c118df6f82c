"""Python, by its own parser."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence

from tandemkit.ml.documents.code import Definition, code_document, in_order
from tandemkit.ml.documents.document import Document
from tandemkit.ml.documents.media import PYTHON

_Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def python_document(text: str) -> Document:
    """Classes and functions; of a class its methods and inner classes, of a function nothing."""
    return code_document(text, PYTHON, _definitions, ("#",))


def _definitions(text: str) -> Sequence[Definition] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return in_order(_of(tree.body))


def _of(body: list[ast.stmt]) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, _Named):
            first = min(one.lineno for one in (node, *node.decorator_list)) - 1
            inner = in_order(_of(node.body)) if isinstance(node, ast.ClassDef) else ()
            yield Definition(node.name, first, node.end_lineno or node.lineno, inner)
