"""PDF files for tests, written by hand: a page of lines each."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A file whose pages say these lines, from top to bottom."""
    return pdf_of(zlib.compress(_content(lines)) for lines in pages)


def pdf_of(streams: Iterable[bytes]) -> bytes:
    """A file of pages whose contents are these compressed streams."""
    objects = [b"", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    kids = []
    for stream in streams:
        head = b"<</Filter/FlateDecode/Length %d>>" % len(stream)
        objects.append(head + b"stream\n" + stream + b"\nendstream")
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R"
        objects.append(page % len(objects) + b"/Resources<</Font<</F 3 0 R>>>>>>")
        kids.append(b"%d 0 R" % len(objects))
    objects[0] = b"<</Type/Catalog/Pages 2 0 R>>"
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    return _file(objects)


def _content(lines: Sequence[str]) -> bytes:
    said = [b"BT /F 12 Tf 14 TL 72 770 Td"]
    said += [b"(%s) Tj T*" % line.encode("latin-1") for line in lines]
    return b"\n".join([*said, b"ET"])


def _file(objects: Sequence[bytes]) -> bytes:
    body = b"%PDF-1.7\n"
    places = []
    for number, one in enumerate(objects, 1):
        places.append(b"%010d 00000 n \n" % len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    count = len(objects) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, b"".join(places))
    tail = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count, len(body))
    return body + table + tail
