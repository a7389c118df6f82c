"""The forms of a page: what they ask for, and what they send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.gateway.web.sites import joined
from tandem.gateway.v1 import errors_pb2 as errors
from tandem.gateway.v1 import web_page_pb2 as nouns
from tandemkit.core.errors import CallerError

FORMS_MAX = 50
_FIELDS_MAX, _OPTIONS_MAX = 256, 500
_LABEL_CHARS_MAX = 200
# They choose among what the page gives them.
_TICKED = frozenset({"checkbox", "radio"})
_BUTTONS = frozenset({"submit", "image", "button", "reset"})
_NO_VALUE = frozenset({"reset", "button", "image", "file"})


@dataclass(frozen=True, slots=True)
class Filled:
    """Where a form goes, and what it sends there."""

    url: str
    posts: bool
    pairs: tuple[tuple[str, str], ...]

    @property
    def query(self) -> str:
        return urlencode(self.pairs)


def forms_of(tree: LexborHTMLParser, url: str) -> list[nouns.WebForm]:
    """Those of the page at `url`. What can send nothing is left out of them."""
    return [_form(node, index, url) for index, node in enumerate(tree.css("form")[:FORMS_MAX])]


def filled(form: nouns.WebForm, values: Mapping[str, Sequence[str]]) -> Filled:
    """The form as it is sent with these values for its own. Raises CallerError."""
    known = {field.name for field in form.fields}
    if unknown := sorted(set(values) - known):
        raise _invalid(unknown[0], f"the form has no such field; it has {', '.join(sorted(known))}")
    pairs = []
    is_pressed = False
    for name, fields in _by_name(form).items():
        chosen = values.get(name)
        buttons = all(field.kind == "submit" for field in fields)
        if chosen is not None:
            _check(name, fields, chosen)
            is_pressed = is_pressed or buttons
            pairs += [(name, value) for value in chosen]
        elif not buttons:
            pairs += [(name, value) for field in fields for value in field.values]
    if not is_pressed:
        pairs += _first_button(form)
    return Filled(form.url, form.posts, tuple(pairs))


def _form(node: LexborNode, index: int, url: str) -> nouns.WebForm:
    attributes = node.attrs
    named = attributes.get("name") or attributes.get("id") or ""
    action = joined(url, (attributes.get("action") or "").strip()) or url
    posts = (attributes.get("method") or "").strip().lower() == "post"
    form = nouns.WebForm(index=index, name=named[:_LABEL_CHARS_MAX], url=action, posts=posts)
    labels = _labels(node)
    for one in node.css("input, select, textarea, button")[:_FIELDS_MAX]:
        field = _field(one, labels)
        if field is not None:
            form.fields.append(field)
    return form


def _field(node: LexborNode, labels: Mapping[str, str]) -> nouns.WebField | None:
    attributes = node.attrs
    name = attributes.get("name") or ""
    kind = _kind(node)
    if not name or kind in _NO_VALUE or "disabled" in attributes:
        return None
    label = attributes.get("aria-label") or labels.get(attributes.get("id") or "", "")
    field = nouns.WebField(
        name=name,
        kind=kind,
        label=(label or attributes.get("placeholder") or "")[:_LABEL_CHARS_MAX],
        required="required" in attributes,
    )
    if kind == "select":
        _choose(field, node)
    elif kind in _TICKED or kind == "submit":
        value = attributes.get("value")
        field.options.append("on" if value is None and kind in _TICKED else value or "")
        if "checked" in attributes or kind == "submit":
            field.values.extend(field.options)
    elif kind == "textarea":
        field.values.append((node.text() or "").removeprefix("\n"))
    else:
        field.values.append(attributes.get("value") or "")
    return field


def _kind(node: LexborNode) -> str:
    """A button without a type submits."""
    if node.tag == "input":
        return (node.attrs.get("type") or "text").lower()
    if node.tag == "button":
        return (node.attrs.get("type") or "submit").lower()
    return node.tag or ""


def _choose(field: nouns.WebField, node: LexborNode) -> None:
    """What is chosen at first: the first option of one choice, none of several."""
    options = node.css("option")[:_OPTIONS_MAX]
    values = [_value(one) for one in options]
    field.options.extend(values)
    chosen = [value for value, one in zip(values, options, strict=True) if "selected" in one.attrs]
    if "multiple" in node.attrs:
        field.values.extend(chosen)
    else:
        field.values.extend(chosen[-1:] or values[:1])


def _value(option: LexborNode) -> str:
    value = option.attrs.get("value")
    return " ".join((option.text() or "").split()) if value is None else value


def _labels(form: LexborNode) -> dict[str, str]:
    return {
        of: " ".join((label.text() or "").split())
        for label in form.css("label[for]")
        if (of := label.attrs.get("for"))
    }


def _by_name(form: nouns.WebForm) -> dict[str, list[nouns.WebField]]:
    found: dict[str, list[nouns.WebField]] = {}
    for field in form.fields:
        found.setdefault(field.name, []).append(field)
    return found


def _first_button(form: nouns.WebForm) -> Iterator[tuple[str, str]]:
    """Which a browser presses where the reader presses Enter."""
    for field in form.fields:
        if field.kind == "submit":
            yield from ((field.name, value) for value in field.values)
            return


def _check(name: str, fields: Sequence[nouns.WebField], values: Sequence[str]) -> None:
    options = [option for field in fields for option in field.options]
    if options and (wrong := [value for value in values if value not in options]):
        raise _invalid(name, f"{wrong[0]!r} is none of {', '.join(map(repr, options))}"[:1000])


def _invalid(name: str, why: str) -> CallerError:
    message = f"the form cannot be filled in so: {why}"
    return CallerError(errors.ERROR_REASON_FIELD_INVALID, message, field="values", at=name)
