"""Other languages, by their tree-sitter grammars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib import import_module

from tree_sitter import Language, Node, Parser

from tandemkit.ml.documents import media
from tandemkit.ml.documents.code import Definition, code_document, in_order
from tandemkit.ml.documents.document import Document

# Of all these languages together: no name means a definition in one and something else in another.
_DEFINITIONS_NAMES = """
function_declaration method_declaration type_spec type_alias
generator_function_declaration class_declaration abstract_class_declaration method_definition
interface_declaration enum_declaration type_alias_declaration internal_module
record_declaration annotation_type_declaration constructor_declaration
function_item struct_item enum_item union_item trait_item impl_item mod_item macro_definition
function_definition struct_specifier union_specifier enum_specifier
"""
_DEFINITIONS = frozenset(_DEFINITIONS_NAMES.split())
# What stands around a definition and is no definition itself: looked through, and its span taken.
_AROUND = frozenset(
    [
        "export_statement",
        "type_declaration",
        "ambient_declaration",
        "expression_statement",
        "type_definition",
        "declaration",
    ]
)
_BODIES = frozenset(
    [
        "class_body",
        "interface_body",
        "enum_body",
        "declaration_list",
        "statement_block",
        "object_type",
        "enum_body_declarations",
    ]
)
_PARTED = frozenset(["function_declaration", "method_declaration", "function_item"])
_DEPTH_MAX = 6
_NAME_CHARS_MAX = 100


def grammar_document(text: str, media_type: str) -> Document:
    """Definitions and those inside them; comments and annotations above one belong to it."""
    find = partial(_definitions, media_type)
    return code_document(text, media_type, find, ("//", "/*", "*", "@", "#["))


def _definitions(media_type: str, text: str) -> Sequence[Definition] | None:
    root = _parser(media_type).parse(text.encode()).root_node
    if root.type == "ERROR":
        return None
    return in_order(_of(root, 0))


@cache
def _parser(media_type: str) -> Parser:
    module, function = media.GRAMMARS[media_type]
    return Parser(Language(getattr(import_module(module), function)()))


def _of(parent: Node, depth: int) -> Iterator[Definition]:
    if depth > _DEPTH_MAX:
        return
    for node in parent.named_children:
        inside = _inside(node)
        if inside is not None and (name := _name(inside)):
            yield Definition(
                name, node.start_point.row, node.end_point.row + 1, _inner(inside, depth)
            )


def _inner(node: Node, depth: int) -> tuple[Definition, ...]:
    if node.type in _PARTED:
        return ()
    body = node.child_by_field_name("body")
    if body is None or body.type not in _BODIES:
        return ()
    return in_order(_of(body, depth + 1))


def _inside(node: Node) -> Node | None:
    """The definition that this node is, or the first that it only wraps."""
    if node.type in _DEFINITIONS:
        return node
    if node.type in _AROUND:
        return next((found for one in node.named_children if (found := _inside(one))), None)
    return None


def _name(node: Node) -> str:
    """As it is spelled; an `impl` of Rust is named for its type."""
    named = node.child_by_field_name("name")
    if named is None and node.type == "impl_item":
        return _spelled(node.child_by_field_name("type"))
    while named is None and (inner := node.child_by_field_name("declarator")) is not None:
        node = inner
        named = inner if inner.type in {"identifier", "field_identifier"} else None
    return _spelled(named)


def _spelled(node: Node | None) -> str:
    raw = (node.text or b"") if node is not None else b""
    return raw.decode(errors="replace")[:_NAME_CHARS_MAX]
