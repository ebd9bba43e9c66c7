"""Values that are taken from the environment when they are used, and are never shown."""

import re
from collections.abc import Mapping
from typing import Final, NoReturn

from podium.errors import RequestError

__all__ = ["Secret", "expand", "variables_in"]

VARIABLE_RE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def variables_in(text: str) -> tuple[str, ...]:
    """Return the names of the variables that `text` takes from the environment."""
    return tuple(VARIABLE_RE.findall(text))


def expand(text: str, environment: Mapping[str, str], *, setting: str) -> str:
    """Return `text` with each `${NAME}` replaced by that variable of the environment.

    Raises `RequestError` PDM-R073 naming the `setting` and every variable that is not set.
    """
    missing = [name for name in variables_in(text) if not environment.get(name)]
    if missing:
        names = ", ".join(sorted(set(missing)))
        raise RequestError(
            f"The setting `{setting}` needs the environment variable {names}.",
            why="It is not set, or empty.",
            fix="Set it for this process; podium.yaml keeps only its name.",
            code="PDM-R073",
        )
    return VARIABLE_RE.sub(lambda found: environment[found[1]], text)


class Secret:
    """A text that only `reveal` tells; `repr`, `str` and `format` show three stars."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self, environment: Mapping[str, str], *, setting: str) -> str:
        """Return the secret, its `${NAME}` taken from `environment`; raises as `expand`."""
        return expand(self._text, environment, setting=setting)

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the names of the variables it is taken from."""
        return variables_in(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not written anywhere; pass the name of its variable on.")
