"""`GET /docs`: the document as a page to read and to try, of the files in the folder `page`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from services.gateway.http.face import Face

PATH: Final = "/docs"
_FOLDER: Final = Path(__file__).parent / "page"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES: Final = (
    "index.html",
    "page.css",
    "page.js",
    "method.js",
    "form.js",
    "call.js",
    "dom.js",
)
# Nothing from elsewhere and nothing inline: what an agent answers stays text. No page may frame it.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "no-cache",
}


def face() -> Face:
    """Open: it tells nothing of the fleet. Its visitor shows the token to `/openapi.json`."""
    files = {PATH if name == "index.html" else f"{PATH}/{name}": name for name in _FILES}
    routes = tuple(web.get(path, _Shown(name).answer) for path, name in files.items())
    summary = "A page to read what there is to ask, and to try it."
    return Face(PATH, summary, routes, open_paths=frozenset(files))


class _Shown:
    """One file, read when it is first asked for."""

    def __init__(self, name: str) -> None:
        self._path = _FOLDER / name
        self._body: bytes | None = None

    async def answer(self, _request: web.Request) -> web.Response:
        if self._body is None:
            self._body = self._path.read_bytes()
        kind = _TYPES[self._path.suffix]
        return web.Response(body=self._body, content_type=kind, charset="utf-8", headers=_HEADERS)
