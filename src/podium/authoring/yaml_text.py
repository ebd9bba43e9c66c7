"""YAML text → data with places: the YAML 1.2 core schema, without its dangerous parts.

Aliases, anchors, tags and merge keys are refused: definitions do not need them, and they are
what alias bombs and object injection are made of. Events are read one by one, so that depth is
known before anything recurses.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import yaml

from podium.authoring.places import Place
from podium.authoring.tree import Halt, TreeBuilder
from podium.errors import Fault

__all__ = ["read_yaml"]

Json = Any

CONSTANTS: Final[dict[str, Json]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
INTEGER_RE: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT_RE: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
SPECIAL_RE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
DIGITS_MAX: Final = 40
NUMBER_START: Final = frozenset("-+.0123456789")

HINTS: Final = (
    (r"a tab", "Indent with spaces: YAML does not allow tabs there."),
    (r"mapping values are not allowed", 'Quote a text that contains ": ", or fix the indent.'),
    (r"flow (mapping|sequence)", 'Quote expressions inside { } and [ ]: {path: "${{ x }}"}'),
    (r"block (mapping|collection)", "Align this line with the other keys of its block."),
    (r"scalar|quoted", "Close the quote, and double the quotes that are part of the text."),
    (r"cannot start any token", "Quote a text that starts with @, ` or %."),
)


def read_yaml(text: str) -> TreeBuilder:
    """Return the data of one YAML document, its places, and every fault found on the way."""
    builder = TreeBuilder()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        _read(loader.get_event, builder)
    except Halt as halt:
        builder.halt(halt.fault)
    except yaml.YAMLError as error:
        builder.halt(_syntax_fault(error, text))
    finally:
        loader.dispose()
    return builder


def _read(next_event: Callable[[], Any], builder: TreeBuilder) -> None:
    documents = 0
    while not isinstance(event := next_event(), yaml.StreamEndEvent):
        kind = event.__class__
        if kind is yaml.ScalarEvent:
            _read_scalar(event, builder)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            _refuse_marks(event, builder)
            builder.begin(_place(event), is_mapping=kind is yaml.MappingStartEvent)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            builder.end()
        elif kind is yaml.AliasEvent:
            _refuse(builder, _alias_fault(event))
            _give(builder, None, _place(event))
        elif kind is yaml.DocumentStartEvent:
            documents += 1
            if documents > 1:
                raise Halt(_second_document(_place(event)))


def _read_scalar(event: yaml.ScalarEvent, builder: TreeBuilder) -> None:
    mark: Any = event.start_mark
    place = (mark.line + 1, mark.column + 1)
    text = event.value
    if event.anchor is not None or event.tag is not None:
        _refuse_marks(event, builder)
    if not event.implicit[0]:
        _give(builder, text, place)
        return
    if text == "<<" and builder.wants_key:
        _refuse(builder, _merge_fault(place))
    if len(text) > 1 and text[0].isalpha() and text not in CONSTANTS:
        _give(builder, text, place)
        return
    _give(builder, resolve(text), place)


def _give(builder: TreeBuilder, value: Json, place: Place) -> None:
    if builder.wants_key:
        builder.key(value, place)
    else:
        builder.scalar(value, place)


def resolve(text: str) -> Json:
    """Return the value of a plain scalar by the YAML 1.2 core schema."""
    if text in CONSTANTS or text[0] not in NUMBER_START:
        return CONSTANTS.get(text, text)
    if INTEGER_RE.fullmatch(text):
        return _integer(text)
    if FLOAT_RE.fullmatch(text):
        return float(text)
    if SPECIAL_RE.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _integer(text: str) -> int:
    # Longer ones are out of range anyway, and Python refuses to convert very long ones.
    if len(text) > DIGITS_MAX:
        return int(10**DIGITS_MAX)
    return int(text, 0 if text[:2] in ("0o", "0x") else 10)


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _refuse(builder: TreeBuilder, fault: Fault) -> None:
    builder.faults.append(fault)


def _refuse_marks(event: Any, builder: TreeBuilder) -> None:
    line, column = _place(event)
    if event.anchor is not None:
        _refuse(
            builder,
            Fault(
                code="PDM-D006",
                message=f"The anchor '&{event.anchor}' is not allowed.",
                why="Anchors and aliases can make a small file unfold into gigabytes.",
                fix="Remove it, and repeat the value where it is needed.",
                line=line,
                column=column,
            ),
        )
    if event.tag is not None:
        _refuse(
            builder,
            Fault(
                code="PDM-D007",
                message=f"The tag {event.tag!r} is not allowed.",
                why="Tags ask a reader to build objects; a definition is plain data.",
                fix="Remove the tag; quote the value if it must be text.",
                line=line,
                column=column,
            ),
        )


def _alias_fault(event: yaml.AliasEvent) -> Fault:
    line, column = _place(event)
    return Fault(
        code="PDM-D006",
        message=f"The alias '*{event.anchor}' is not allowed.",
        why="Anchors and aliases can make a small file unfold into gigabytes.",
        fix="Repeat the value; quote it if the star is part of a text.",
        line=line,
        column=column,
    )


def _merge_fault(place: Place) -> Fault:
    return Fault(
        code="PDM-D008",
        message="The merge key '<<' is not allowed.",
        why="YAML 1.2 has no merge keys, and they hide what a definition says.",
        fix="Write the keys out; settings: and groups: hold what several tasks share.",
        line=place[0],
        column=place[1],
    )


def _second_document(place: Place) -> Fault:
    return Fault(
        code="PDM-D014",
        message="The text holds more than one YAML document.",
        why="One text defines one workflow.",
        fix="Split it at '---' into one file for each workflow.",
        line=place[0],
        column=place[1],
    )


def _syntax_fault(error: yaml.YAMLError, text: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    said = f"{problem} {context or ''}"
    if mark and text[mark.index : mark.index + 1] == "\t":
        said = "a tab"
    hint = next((fix for pattern, fix in HINTS if re.search(pattern, said)), "")
    return Fault(
        code="PDM-D001",
        message=f"The text is not YAML: {problem}.",
        why=str(context).capitalize() + "." if context else "",
        fix=hint or "Check quotes, colons and indentation near this place.",
        line=mark.line + 1 if mark else 0,
        column=mark.column + 1 if mark else 0,
    )
