"""What a reader sees of a file from the web."""

from __future__ import annotations

import re
from email.message import Message
from urllib.parse import urldefrag, urljoin

from selectolax.lexbor import LexborHTMLParser

from services.gateway.web.fetching import File
from services.gateway.web.forms import forms_of
from tandem.gateway.v1 import errors_pb2 as errors
from tandem.gateway.v1 import web_page_pb2 as nouns
from tandemkit.core.errors import CallerError
from tandemkit.ml.documents.decoding import decoded
from tandemkit.ml.documents.document import DocumentFailure
from tandemkit.ml.documents.html import declared_charset, html_document

TEXT_CHARS = 50_000
_LINK_CHARS_MAX, _URL_CHARS_MAX = 300, 4096
_MARKUP = frozenset({"text/html", "application/xhtml+xml"})
_TEXT = re.compile(r"text/[\w.+-]+|application/([\w.-]+\+)?(json|xml|yaml)")


def page_of(file: File, text_chars_max: int = 0, links_max: int = 0) -> nouns.WebPage:
    """Raises CallerError where it has no text."""
    media_type, charset = media_of(file)
    page = nouns.WebPage(
        url=file.url, status=file.status, media_type=media_type, redirects=file.redirects
    )
    try:
        if media_type in _MARKUP:
            text = decoded(file.content, charset or declared_charset(file.content)).text
            _read(page, text, links_max)
        elif _TEXT.fullmatch(media_type):
            page.text = decoded(file.content, charset).text
        else:
            raise _unreadable("it is no text", media_type)
    except DocumentFailure as error:
        raise _unreadable(error.message, media_type) from error
    most = text_chars_max or TEXT_CHARS
    page.text_truncated = len(page.text) > most
    page.text = page.text[:most]
    return page


def media_of(file: File) -> tuple[str, str]:
    """Media type and charset, as its server says; a page of HTML where it does not."""
    if not file.content_type:
        return "text/html", ""
    head = Message()
    head["Content-Type"] = file.content_type
    return head.get_content_type(), str(head.get_param("charset") or "").lower()


def _read(page: nouns.WebPage, text: str, links_max: int) -> None:
    document = html_document(text)
    tree = LexborHTMLParser(text)
    page.title, page.text = document.title, document.text
    root = tree.css_first("html", strict=False)
    page.language = (root.attrs.get("lang") or "")[:35] if root else ""
    base = _base(tree, page.url)
    page.forms.extend(forms_of(tree, base))
    found: dict[str, str] = {}
    for link in tree.css("a[href]"):
        if len(found) >= links_max:
            break
        url = _absolute(base, link.attrs.get("href") or "")
        if url:
            found.setdefault(url, " ".join((link.text() or "").split())[:_LINK_CHARS_MAX])
    page.links.extend(nouns.WebLink(url=url, text=said) for url, said in found.items())


def _base(tree: LexborHTMLParser, url: str) -> str:
    named = tree.css_first("base[href]", strict=False)
    return (_absolute(url, named.attrs.get("href") or "") if named else "") or url


def _absolute(base: str, target: str) -> str:
    """Empty where it leads to nothing that can be fetched."""
    try:
        url = urldefrag(urljoin(base, target.strip())).url
    except ValueError:
        return ""
    is_fetched = url.startswith(("http://", "https://")) and len(url) <= _URL_CHARS_MAX
    return url if is_fetched else ""


def _unreadable(why: str, media_type: str) -> CallerError:
    reason, message = errors.ERROR_REASON_PAGE_UNREADABLE, f"the page cannot be read: {why}"
    return CallerError(reason, message, field="url", media_type=media_type)
