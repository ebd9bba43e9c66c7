"""The files of the web interface: what was built, compressed once, with the headers they need.

A checkout in which nothing was built gets a plain page that says how to build it. Nothing here
knows a run: the pages ask the API for everything, with the key of whoever looks at them.
"""

import gzip
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = ["BUILT", "HEADERS", "PageFile", "asset", "entry"]

BUILT: Final = Path(__file__).parent / "ui"
"""Where `make ui` puts what it builds; it is part of the wheel and of no commit."""

POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; "
    # No text becomes markup or code: not by us, and not by a library either.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
)
"""On every file of the interface, the plain page included."""

ALWAYS: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
SMALL: Final = 1024
PACKED: Final = frozenset({"font/woff2", "image/png"})
"""Compressed by nature."""

PLAIN: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Podium</title>
</head>
<body>
<main>
<h1>Podium is running</h1>
<p>The web interface is not built in this checkout. With Node 20.19 or newer, run:</p>
<pre>make ui</pre>
<p>and load this page again. An installed package has it built in.</p>
<p>The API needs no interface: <a href="/v1/health">/v1/health</a>,
<a href="/v1/runs">/v1/runs</a>, <a href="/v1/approvals">/v1/approvals</a>,
<a href="/openapi.json">/openapi.json</a>. So does the command line:</p>
<pre>podium runs list</pre>
</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it goes out."""

    media_type: str
    cached: str
    """What `Cache-Control` says."""
    body: bytes
    packed: bytes | None
    """The same in gzip, where that is smaller."""

    def in_encoding(self, accepted: str) -> tuple[bytes, dict[str, str]]:
        """Return body and headers for somebody who accepts these encodings."""
        headers = {**HEADERS, "Cache-Control": self.cached}
        if self.packed is not None and "gzip" in accepted:
            return self.packed, {**headers, "Content-Encoding": "gzip"}
        return self.body, headers


@cache
def entry() -> PageFile:
    """Return the page that every address of the interface answers with."""
    index = BUILT / "index.html"
    body = index.read_bytes() if index.is_file() else PLAIN.encode()
    return _file("text/html; charset=utf-8", ASK_AGAIN, body)


@cache
def _assets() -> dict[str, Path]:
    """Return the built files by name: nothing else can be asked for, whatever a path says."""
    folder = BUILT / "assets"
    return {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}


@cache
def asset(name: str) -> PageFile | None:
    """Return a built file by its name; None if there is none. Names change with the content."""
    path = _assets().get(name)
    if path is None:
        return None
    media_type = _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(name)[0]
    return _file(media_type or "application/octet-stream", ALWAYS, path.read_bytes())


# Not left to the machine: some systems map .js to a type that browsers refuse as a module.
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


def _file(media_type: str, cached: str, body: bytes) -> PageFile:
    is_packable = len(body) > SMALL and media_type not in PACKED
    return PageFile(media_type, cached, body, gzip.compress(body, 9) if is_packable else None)
