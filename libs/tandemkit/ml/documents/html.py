"""HTML: what a reader sees of the page's own content. Spans count in that text, not in markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tandemkit.ml.documents.document import Cause, Document, DocumentFailure
from tandemkit.ml.documents.page_text import PageText

_NOT_READ_NAMES = """
script style noscript template svg math canvas head iframe object audio video select button
textarea input
"""
_NOT_READ = frozenset(_NOT_READ_NAMES.split())
_AROUND = frozenset(["nav", "footer", "aside", "form", "dialog", "menu"])
_ROLES_AROUND = frozenset(
    ["navigation", "banner", "contentinfo", "search", "complementary", "menu"]
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]{0,30})")
# Elements that hold none, or end where the next of them starts: they never nest by themselves.
_FLAT_NAMES = """
area base br col embed hr img input link meta source track wbr p li dt dd option optgroup tr td th
thead tbody tfoot colgroup rt rp html head body
"""
_FLAT = frozenset(_FLAT_NAMES.split())
# A parser looks through the open elements at each tag: about three seconds of that.
_STEPS_MAX = 500_000_000


def html_document(text: str) -> Document:
    """What stands in `main`, or in the body, without what is around the content of a page."""
    _check_nesting(text)
    tree = LexborHTMLParser(text)
    named = tree.css_first("title", strict=False)
    title = " ".join(named.text().split())[:200] if named else ""
    mains = tree.css("main, [role=main]") or tree.css("article")
    root = mains[0] if len(mains) == 1 else tree.body or tree.root
    document = _read(root, is_whole=False)
    if not document.blocks:
        document = _read(tree.body or tree.root, is_whole=True)
    return replace(document, title=title) if title else document


def declared_charset(content: bytes) -> str:
    """What the page itself says of its encoding, where browsers look for it."""
    found = re.search(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]{1,40})", content[:1024])
    return found[1].decode("ascii", "replace").lower() if found else ""


def _read(root: LexborNode | None, *, is_whole: bool) -> Document:
    page = PageText()
    if root is not None:
        for node, opens in _walk(root, is_whole=is_whole):
            if node.is_text_node:
                page.say(node.text_content or "")
            elif opens:
                page.open(node.tag or "")
            else:
                page.close(node.tag or "")
    return page.document()


def _walk(root: LexborNode, *, is_whole: bool) -> Iterator[tuple[LexborNode, bool]]:
    """Each node as it opens and as it closes; without recursion, since pages nest as they like."""
    node, opened = root, [root]
    yield root, True
    down = root.first_child
    while opened:
        if down is not None and (down.is_text_node or _is_read(down, is_whole=is_whole)):
            node = down
            yield node, True
            down = None if node.is_text_node else node.first_child
            if not node.is_text_node:
                opened.append(node)
                continue
            down = node.next
        elif down is not None:
            down = down.next
        else:
            node = opened.pop()
            yield node, False
            down = node.next if opened else None


def _is_read(node: LexborNode, *, is_whole: bool) -> bool:
    if not node.is_element_node or node.tag in _NOT_READ:
        return False
    if is_whole:
        return True
    if node.tag in _AROUND:
        return False
    attributes = node.attrs
    return not (
        attributes.get("role") in _ROLES_AROUND
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
    )


def _check_nesting(text: str) -> None:
    """Refuses what would keep the parser busy for minutes, and which no page looks like."""
    depth = steps = 0
    for found in _TAG.finditer(text):
        if found[2].lower() not in _FLAT:
            depth = max(0, depth + (-1 if found[1] else 1))
        steps += depth
        if steps > _STEPS_MAX:
            raise DocumentFailure(
                Cause.BROKEN,
                "the elements of this page are nested deeper than can be read",
                depth=depth,
            )
