"""Where each value of a document stands in its text, by JSON pointer."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["Marks", "Place", "Places", "escape", "unescape"]

Place = tuple[int, int]
"""Line and column, both from 1."""

NOWHERE: Final[Place] = (0, 0)


class Marks:
    """The places of one mapping or list, of its keys and of what it holds."""

    __slots__ = ("inside", "keys", "place")

    def __init__(self, place: Place, *, is_mapping: bool) -> None:
        self.place = place
        self.keys: dict[Any, Place] = {}
        self.inside: dict[Any, Marks | Place] | list[Marks | Place] = {} if is_mapping else []


class Places(Mapping[str, Place]):
    """Places by JSON pointer, as the author wrote the document or as the model names it.

    A pointer into the model may use the canonical name of a key that was written as an alias,
    and positions in a list that was written as a mapping from names. A pointer to something
    that is not in the text has the place of the nearest thing around it.
    """

    def __init__(
        self,
        root: Marks | Place,
        aliases: Mapping[str, tuple[str, ...]],
        equivalents: Mapping[str, str],
    ) -> None:
        self._root = root
        self._aliases = aliases
        self._equivalents = equivalents

    def __getitem__(self, pointer: str) -> Place:
        """Return the place of the value at `pointer`, or of the nearest value around it."""
        return self._find(pointer)[0]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the top-level pointers: the tree below is found by name only."""
        return (f"/{escape(str(key))}" for key in getattr(self._root, "keys", ()))

    def __len__(self) -> int:
        """Return the number of top-level pointers."""
        return len(getattr(self._root, "keys", ()))

    def of_key(self, pointer: str) -> Place:
        """Return the place of the key that the last part of `pointer` names."""
        parent, _, key = pointer.rpartition("/")
        marks = self._walk(parent)[2]
        name = unescape(key)
        if isinstance(marks, Marks) and name in marks.keys:
            return marks.keys[name]
        return self[pointer]

    def written(self, pointer: str) -> str:
        """Return the pointer with the keys as the author wrote them."""
        return self._find(pointer)[1]

    def _find(self, pointer: str) -> tuple[Place, str, Marks | Place]:
        """Walk to `pointer`, or to where its value can be written instead."""
        found = self._walk(pointer)
        if found[2] is NOWHERE:
            for ending, other in self._equivalents.items():
                if pointer.endswith(f"/{ending}"):
                    elsewhere = self._walk(pointer.removesuffix(ending) + other)
                    return elsewhere if elsewhere[2] is not NOWHERE else found
        return found

    def _walk(self, pointer: str) -> tuple[Place, str, Marks | Place]:
        node: Marks | Place = self._root
        written = ""
        place = node.place if isinstance(node, Marks) else node
        parts = pointer.split("/")[1:]
        for depth, part in enumerate(parts):
            found = self._step(node, unescape(part)) if isinstance(node, Marks) else None
            if found is None:
                return place, "/".join((written, *parts[depth:])), NOWHERE
            name, node = found
            written += f"/{escape(name)}"
            place = node.place if isinstance(node, Marks) else node
        return place, written, node

    def _step(self, node: Marks, part: str) -> tuple[str, "Marks | Place"] | None:
        if isinstance(node.inside, list):
            index = int(part) if part.isdecimal() else len(node.inside)
            return (part, node.inside[index]) if index < len(node.inside) else None
        for name in (part, *self._aliases.get(part, ())):
            if name in node.inside:
                return name, node.inside[name]
        if part.isdecimal() and int(part) < len(node.inside):
            name = list(node.inside)[int(part)]
            return str(name), node.inside[name]
        return None


def escape(part: str) -> str:
    """Return one part of a JSON pointer, escaped."""
    return part.replace("~", "~0").replace("/", "~1") if "~" in part or "/" in part else part


def unescape(part: str) -> str:
    """Return one part of a JSON pointer as the key it names."""
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part
