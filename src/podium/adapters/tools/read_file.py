"""The tool `read_file`: some lines of a text file below the folders an agent was given."""

from typing import Annotated, Final

from msgspec import Meta

from podium.adapters.tools.beneath import lines_of, open_beneath, read_text
from podium.agents.tools import Grant, tool

__all__ = ["read_file"]

LINES_MAX: Final = 2000
LINE_CHARS_MAX: Final = 2000


@tool(effect="read")
def read_file(
    path: Annotated[str, Meta(description="Path of the file, relative to the folder.")],
    first_line: Annotated[int, Meta(ge=1, description="Where to begin.")] = 1,
    lines: Annotated[int, Meta(ge=1, le=LINES_MAX, description="How many lines.")] = 400,
    *,
    grant: Grant,
) -> str:
    """Read lines of a text file, each with its number."""
    with open_beneath(grant.roots, path) as descriptor:
        text = lines_of(read_text(descriptor, path))
    shown = text[first_line - 1 : first_line - 1 + lines]
    head = f"{path}, lines {first_line} to {first_line - 1 + len(shown)} of {len(text)}"
    numbered = (f"{at}: {line[:LINE_CHARS_MAX]}" for at, line in enumerate(shown, first_line))
    return "\n".join([head, *numbered])
