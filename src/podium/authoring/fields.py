"""Reads one mapping of a document against its table of keys, collecting every fault.

What it returns holds only values of the right type under their canonical keys, so that the
rest of a definition can be checked even when parts of it are wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from podium.authoring.places import Places, escape
from podium.authoring.schema import JOIN_NAMES, PRIORITY_NAMES, TABLES, Key
from podium.core.durations import DURATION_EXAMPLES, parse_duration
from podium.errors import Fault, did_you_mean

__all__ = ["FieldReader"]

Json = Any
Fields = dict[str, Json]

BOOLEAN_WORDS: Final = frozenset(("yes", "no", "on", "off", "y", "n"))
MISSING: Final = object()


class FieldReader:
    """Collects the faults of a document while reading it table by table."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.faults: list[Fault] = []
        self._readers: dict[str, Callable[[Json, str, Key], Json]] = {
            "duration": self._duration,
            "names": self._names,
            "texts": self._names,
            "agents": self._agents,
            "tools": self._tools,
            "label": self._label,
            "template": self._template,
            "condition": self._condition,
            "priority": self._priority,
            "join": self._join,
            "choice": self._choice,
            "object": self._object,
            "objects": self._objects,
        }

    def fault(self, code: str, message: str, pointer: str, *, why: str = "", fix: str = "") -> None:
        """Add a fault at the value of `pointer`."""
        line, column = self.places[pointer]
        self.faults.append(
            Fault(
                code=code,
                message=message,
                why=why,
                fix=fix,
                line=line,
                column=column,
                pointer=self.places.written(pointer),
            )
        )

    def read(self, table: str, value: Json, pointer: str, *, named: str = "") -> Fields:
        """Return the sound fields of `value` by canonical key.

        `named` is the name a value has from its own key, when it need not be repeated inside.
        """
        fields: Fields = {}
        if not isinstance(value, dict):
            self.wrong_type(value, pointer, what=_article(table), example=_example(table))
            return fields
        keys = TABLES[table]
        for name, member in value.items():
            canonical = _canonical(name, keys)
            if canonical is None:
                self._unknown(name, table, f"{pointer}/{escape(name)}")
            elif name != _spelling(canonical, keys, value):
                self._given_twice(name, canonical, f"{pointer}/{escape(name)}")
            else:
                sound = self._read_value(member, f"{pointer}/{escape(name)}", keys[canonical])
                if sound is not MISSING:
                    fields[canonical] = sound
        if named:
            fields.setdefault("name", named)
        self._require(keys, value, fields, pointer, table)
        return fields

    def _read_value(self, value: Json, pointer: str, key: Key) -> Json:
        reader = self._readers.get(key.kind)
        if reader is not None:
            return reader(value, pointer, key)
        accepted = PLAIN_TYPES[key.kind]
        if not accepted or _is_one_of(value, accepted):
            return value
        return self.wrong_type(value, pointer, what=WORDS[key.kind])

    def wrong_type(self, value: Json, pointer: str, *, what: str, example: str = "") -> Json:
        """Add the fault that a value is not what its key takes; return `MISSING`."""
        fix = f"Write {what}{f', such as {example}' if example else ''}."
        if what.startswith("text") and isinstance(value, bool | int | float):
            fix = f'Quote the value: "{_yaml_text(value)}"'
        elif what == "true or false" and isinstance(value, str) and value.lower() in BOOLEAN_WORDS:
            fix = "Write true or false; YAML 1.2 reads yes, no, on and off as text."
        self.fault(
            "PDM-D012",
            f"{_last(pointer)} is {_describe(value)}; it takes {what}.",
            pointer,
            fix=fix,
        )
        return MISSING

    def _unknown(self, name: str, table: str, pointer: str) -> None:
        line, column = self.places.of_key(pointer)
        known = sorted(TABLES[table])
        elsewhere = [other for other in ("task", "settings", "workflow") if name in TABLES[other]]
        why = f"It is a key of {_article(elsewhere[0])}." if elsewhere else ""
        self.faults.append(
            Fault(
                code="PDM-D011",
                message=f"{name!r} is no key of {_article(table)}.",
                why=why,
                fix=did_you_mean(name, known, what="key"),
                line=line,
                column=column,
                pointer=pointer,
            )
        )

    def _given_twice(self, name: str, canonical: str, pointer: str) -> None:
        line, column = self.places.of_key(pointer)
        self.faults.append(
            Fault(
                code="PDM-D015",
                message=f"{name!r} and another spelling of {canonical!r} are both given.",
                why="They mean the same.",
                fix=f"Keep {canonical!r}.",
                line=line,
                column=column,
                pointer=pointer,
            )
        )

    def _require(
        self, keys: Mapping[str, Key], value: Fields, fields: Fields, pointer: str, table: str
    ) -> None:
        for name in REQUIRED[table]:
            if name in fields or name in value or any(n in value for n in keys[name].aliases):
                continue
            self.fault(
                "PDM-D013",
                f"{_article(table).capitalize()} needs {name!r}: {_lower_first(keys[name].doc)}",
                pointer,
                fix=f"Add {name}: …",
            )

    def _duration(self, value: Json, pointer: str, key: Key) -> Json:
        if value is None:
            return None
        duration = parse_duration(value)
        if duration is not None:
            return duration
        self.fault(
            "PDM-D202",
            f"{_last(pointer)} is {_describe(value)}, which is no duration.",
            pointer,
            why="Bare numbers are seconds; units are ms, s, m, h, d and w, or ISO 8601.",
            fix=f"For example {DURATION_EXAMPLES}.",
        )
        return MISSING

    def _names(self, value: Json, pointer: str, key: Key) -> Json:
        if isinstance(value, str):
            return (value,)
        if value is None:
            return ()
        if not isinstance(value, list):
            return self.wrong_type(value, pointer, what="a list of names", example="[fetch, parse]")
        names = [name for name in value if isinstance(name, str)]
        what = "text: the name of a task" if key.kind == "names" else "text"
        for index, name in enumerate(value):
            if not isinstance(name, str):
                self.wrong_type(name, f"{pointer}/{index}", what=what)
        return tuple(names)

    def _label(self, value: Json, pointer: str, key: Key) -> Json:
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return str(value)
        return self.wrong_type(value, pointer, what="text")

    def _template(self, value: Json, pointer: str, key: Key) -> Json:
        return self._label(value, pointer, key)

    def _condition(self, value: Json, pointer: str, key: Key) -> Json:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return value
        return self.wrong_type(value, pointer, what="an expression", example='"${{ a > 1 }}"')

    def _priority(self, value: Json, pointer: str, key: Key) -> Json:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in PRIORITY_NAMES:
            return PRIORITIES[value.lower()]
        return self._no_choice(value, pointer, (*PRIORITY_NAMES, "0 to 100"))

    def _join(self, value: Json, pointer: str, key: Key) -> Json:
        if isinstance(value, dict):
            return self.read("join", value, pointer)
        if value in JOIN_NAMES:
            return value
        return self._no_choice(value, pointer, (*JOIN_NAMES, "{at_least: 2}"))

    def _choice(self, value: Json, pointer: str, key: Key) -> Json:
        if value in key.choices:
            return value
        return self._no_choice(value, pointer, key.choices)

    def _no_choice(self, value: Json, pointer: str, choices: Sequence[str]) -> Json:
        close = did_you_mean(value, choices) if isinstance(value, str) else ""
        self.fault(
            "PDM-D203",
            f"{_last(pointer)} is {_describe(value)}; it takes {', '.join(choices)}.",
            pointer,
            fix=close if close.startswith("Did") else f"Choose one of {', '.join(choices)}.",
        )
        return MISSING

    def _object(self, value: Json, pointer: str, key: Key) -> Json:
        if value is None or not isinstance(value, dict):
            return self.wrong_type(value, pointer, what=f"an object: {_keys_text(key.table)}")
        return self.read(key.table, value, pointer)

    def _objects(self, value: Json, pointer: str, key: Key) -> Json:
        if not isinstance(value, list):
            return self.wrong_type(value, pointer, what="a list")
        return [self.read(key.table, item, f"{pointer}/{i}") for i, item in enumerate(value)]

    def _agents(self, value: Json, pointer: str, key: Key) -> Json:
        if not isinstance(value, dict):
            return self.wrong_type(value, pointer, what="an object: agents by name")
        return {
            slug: self.read("agent", body, f"{pointer}/{escape(slug)}")
            for slug, body in value.items()
        }

    def _tools(self, value: Json, pointer: str, key: Key) -> Json:
        if not isinstance(value, list):
            return self.wrong_type(value, pointer, what="a list of tools", example="[read_file]")
        # A tool that cannot be read keeps its place, so that the pointers of the others fit.
        return [
            {"uses": item}
            if isinstance(item, str)
            else self.read(key.table, item, f"{pointer}/{index}")
            for index, item in enumerate(value)
        ]


REQUIRED: Final = {
    table: [name for name, key in keys.items() if key.is_required] for table, keys in TABLES.items()
}

PRIORITIES: Final = {"critical": 0, "high": 25, "normal": 50, "low": 75}

PLAIN_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "text": (str,),
    "name": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "items": (str, list, dict),
    "arguments": (dict, str, type(None)),
    "mapping": (dict,),
    "inputs": (dict,),
    "groups": (dict,),
    "tasks": (dict, list),
    "recorded": (),
    "schema": (dict, str),
}
WORDS: Final[Mapping[str, str]] = {
    "text": "text",
    "name": "text: a name",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "items": 'a list, an object, or an expression such as "${{ inputs.files }}"',
    "arguments": "an object of arguments, or one expression",
    "mapping": "an object",
    "inputs": "an object: the schema of each input by its name",
    "groups": "an object: the options of each group by its name",
    "tasks": "a list of tasks, or an object of tasks by name",
    "schema": "a JSON Schema, or the name of a .json file",
}


def _canonical(name: str, keys: Mapping[str, Key]) -> str | None:
    if name in keys:
        return name
    return next((known for known, key in keys.items() if name in key.aliases), None)


def _spelling(canonical: str, keys: Mapping[str, Key], value: Fields) -> str:
    """Return the spelling that counts when a key is given under several."""
    return next(name for name in (canonical, *keys[canonical].aliases) if name in value)


def _is_one_of(value: Json, accepted: tuple[type, ...]) -> bool:
    return isinstance(value, accepted) and (bool in accepted or not isinstance(value, bool))


def _article(table: str) -> str:
    named = {
        "rule": "a retry rule",
        "workflow": "a definition",
        "settings": "the settings",
        "timeouts": "the timeouts",
        "retry": "a retry policy",
        "agent": "an agent",
        "agent_tool": "a tool",
        "agent_budget": "the budget of an agent",
    }
    return named.get(table, f"a {table}")


def _example(table: str) -> str:
    examples = {"workflow": "tasks: [{name: first}]", "task": "{name: fetch, uses: shell}"}
    return examples.get(table, _keys_text(table))


def _keys_text(table: str) -> str:
    return f"{{{', '.join(list(TABLES[table])[:3])}{', …' if len(TABLES[table]) > 3 else ''}}}"


def _last(pointer: str) -> str:
    above, _, last = pointer.rpartition("/")
    if last.isdecimal():
        return f"Item {last} of {above.rpartition('/')[2]!r}"
    return repr(last) if pointer else "The document"


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]


def _yaml_text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe(value: Json) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"the boolean {_yaml_text(value)}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return "a list" if isinstance(value, list) else "an object"
