"""The description of the service as one page of HTML: no scripts, nothing from elsewhere."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

import msgspec

__all__ = ["CSP", "manual"]

Json = Any

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --key: #0a7; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.2rem 0 .4rem; font-size: 1.05rem; }
article { border-top: 1px solid var(--line); padding: .7rem 0; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; background: #8881; padding: .6rem; border-radius: 6px; }
b { color: var(--key); display: inline-block; min-width: 3.5rem; }
small { color: var(--dim); }
ul { margin: .3rem 0; }
"""
CSP: Final = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)


def manual(described: Mapping[str, Json]) -> str:
    """Return the page of a description; everything in it is text."""
    return "".join(_lines(described))


def _lines(described: Mapping[str, Json]) -> Iterator[str]:
    title, version = escape(described["info"]["title"]), escape(described["info"]["version"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
    yield f"<style>{STYLE}</style></head><body><h1>{title} API <small>{version}</small></h1>"
    yield f"<p>{escape(described['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
    last = ""
    for path, methods in sorted(described["paths"].items()):
        noun = path.removeprefix("/v1/").strip("/").partition("/")[0]
        if noun != last:
            yield f"<h2>{escape(noun)}</h2>"
        last = noun
        for method, operation in methods.items():
            yield from _operation(method, path, operation)
    yield "</body></html>"


def _operation(method: str, path: str, operation: Mapping[str, Json]) -> Iterator[str]:
    yield f"<article><b>{escape(method.upper())}</b> <code>{escape(path)}</code>"
    yield f" <small>{escape(str(operation.get('x-needs', '')))}</small>"
    yield f"<div>{escape(operation.get('description') or operation.get('summary') or '')}</div>"
    parameters = [each for each in operation.get("parameters", ()) if each["in"] != "path"]
    if parameters:
        yield "<ul>"
        for each in parameters:
            name, about = escape(each["name"]), escape(each.get("description", ""))
            yield f"<li><code>{name}</code> <small>{each['in']}</small> {about}</li>"
        yield "</ul>"
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in content:
            text = msgspec.json.format(msgspec.json.encode(content["example"]), indent=2).decode()
            yield f"<pre>{escape(text)}</pre>"
    yield "</article>"
