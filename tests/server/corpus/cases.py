"""The shape of a bad request: what is sent, and what has to come back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = {"content-type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad request with its expected answer; `{done}` and such in a path name known runs."""

    name: str
    method: str
    path: str
    status: int
    code: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    at: str | None = None
    """Where the fault is: a JSON pointer, or the name of a parameter."""
    says: str = ""
    """A word that the answer has to hold, in any of its sentences."""
    faults: tuple[str, ...] = ()
    """The numbers of all faults, in order."""


def posted(
    name: str, value: Any, status: int, code: str, *, path: str = "/v1/runs", **more: Any
) -> Case:
    """Return a case that sends JSON; bytes are sent as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    headers = JSON | more.pop("headers", {})
    return Case(
        name=name,
        method=more.pop("method", "POST"),
        path=path,
        status=status,
        code=code,
        body=body,
        headers=headers,
        **more,
    )


def got(name: str, path: str, status: int, code: str, **more: Any) -> Case:
    """Return a case that asks."""
    return Case(name=name, method="GET", path=path, status=status, code=code, **more)
