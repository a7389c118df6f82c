"""What the host's HTTP port shows of this agent, to people."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from services.gateway.web.sites import Sites
from tandemkit.hosting.http_port import Answer

PATH = "/web"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The web</title></head>
<body><h1>The web, for agents</h1><p>{said}</p><ul>{sites}</ul></body></html>
"""


class Page:
    def __init__(self, sites: Sites) -> None:
        said = (
            "These sites may be read:"
            if sites.entries
            else "No site may be read yet: name some in `sites`."
        )
        entries = "".join(f"<li>{escape(one)}</li>" for one in sites.entries)
        self._body = _PAGE.format(said=said, sites=entries)

    def page(self, _path: str, _accept: str) -> Answer:
        return Answer(HTTPStatus.OK, self._body, "text/html; charset=utf-8")
