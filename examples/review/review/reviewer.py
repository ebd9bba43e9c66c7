"""What all reviewers share: read, parse, apply rules, quote the lines, keep within a limit."""

from collections.abc import Callable, Iterable
from typing import Final

from .catalogue import RULES
from .findings import FileEntry, Finding, Hit, Review, position
from .parsing import parse
from .source import Source, Unreadable, read
from .tree import Module, Unparsable

__all__ = ["FINDINGS_MAX", "review"]

# Of one reviewer in one file: a generated file of a million `eval` is one problem, not many.
FINDINGS_MAX: Final = 200

Rules = Callable[[Module], Iterable[Hit]]


def review(file: FileEntry, *, reviewer: str, rules: Rules) -> Review:
    """Return what `rules` find in the file, ordered by place.

    A file that vanished gives nothing: telling so is the verifier's task, which reads it again.
    """
    try:
        source = read(file["root"], file["path"])
    except Unreadable:
        return Review(findings=[], omitted=0)
    hits = set(_hits(source, rules))
    findings = sorted((_finding(source, hit, reviewer) for hit in hits), key=position)
    return Review(findings=findings[:FINDINGS_MAX], omitted=max(len(findings) - FINDINGS_MAX, 0))


def _hits(source: Source, rules: Rules) -> Iterable[Hit]:
    module = parse(source)
    if isinstance(module, Unparsable):
        return [Hit("P001", module.line, module.offset, f"Cannot be parsed: {module.reason}.")]
    return rules(module)


def _finding(source: Source, hit: Hit, reviewer: str) -> Finding:
    rule = RULES[hit.rule]
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        file=source.path,
        line=hit.line,
        column=source.column(hit.line, hit.offset),
        quote=source.quote(hit.line),
        message=hit.message,
        fix=rule.fix,
        reviewer=reviewer,
    )
