"""Load `queries.sql`: every statement has a name, one line of description, and a text."""

import re
from pathlib import Path
from typing import Final

__all__ = ["SQL", "parse_queries"]

HEADING: Final = re.compile(r"^-- (\w+) -- +(\S.*)$", re.MULTILINE)


def parse_queries(text: str) -> dict[str, str]:
    """Return the statements of a query file by name; raises `ValueError` for a name used twice."""
    _, *parts = HEADING.split(text)
    names, bodies = parts[0::3], parts[2::3]
    if len(set(names)) != len(names):
        raise ValueError("A query file names each statement once.")
    return {name: body.strip().removesuffix(";") for name, body in zip(names, bodies, strict=True)}


SQL: Final = parse_queries((Path(__file__).parent / "queries.sql").read_text("utf-8"))
