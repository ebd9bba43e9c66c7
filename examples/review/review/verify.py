"""The check: a finding counts only if its quoted line is at its place in the planned file.

It trusts nobody, whether rules or a model: it reads the file again and compares.
"""

import re
from typing import Any, Final, cast

from .catalogue import RULES
from .findings import (
    MODE,
    SEVERITIES,
    FileEntry,
    Finding,
    Objection,
    Objections,
    Rejected,
    Review,
    Verdict,
    position,
)
from .source import Source, Unreadable, read

__all__ = ["objections", "rejection", "verify"]

REJECTED_MAX: Final = 50
_TEXT_CHARS_MAX: Final = 500
_RULE: Final = re.compile(r"[A-Z][0-9]{3}\Z")
_TEXTS: Final = ("rule", "severity", "file", "quote", "message", "fix", "reviewer")


def verify(file: FileEntry, reviews: list[Review]) -> Verdict:
    """Return the findings that hold and, with a reason, those that do not.

    If the file is not the one that was planned, nothing said about it can be checked: all
    findings are rejected and `changed` says why.
    """
    source, changed = _reread(file)
    accepted: list[Finding] = []
    rejected: list[Rejected] = []
    for finding in (each for review in reviews for each in review["findings"]):
        reason = changed or _objection(source, finding)
        if reason:
            rejected.append(rejection(finding, reason))
        else:
            accepted.append(finding)
    omitted = sum(review["omitted"] for review in reviews)
    return Verdict(
        file=file["path"],
        findings=sorted(accepted, key=position),
        rejected=rejected[:REJECTED_MAX],
        omitted=omitted + max(len(rejected) - REJECTED_MAX, 0),
        changed=changed,
        mode=MODE,
        tokens=0,
        cost_nano=0,
    )


def objections(file: FileEntry, reviews: list[Review]) -> Objections:
    """Return the findings that do not hold; what stands in for a verifying model."""
    return Objections(
        rejected=[
            Objection(rule=each["rule"], line=each["line"], reason=each["reason"])
            for each in verify(file, reviews)["rejected"]
        ]
    )


def _reread(file: FileEntry) -> tuple[Source | None, str]:
    """Return the file and, if it is not as it was planned, in which way."""
    try:
        source = read(file["root"], file["path"])
    except Unreadable as error:
        return None, f"changed during review: {error}"
    if (source.size, source.sha256) != (file["size"], file["sha256"]):
        return source, "changed during review: other content than planned"
    return source, ""


def _objection(source: Source | None, finding: object) -> str:
    """Return why a finding cannot be accepted, or an empty text; `finding` may be anything."""
    if source is None or not _is_well_formed(finding):
        return "not a finding: a field is missing or has the wrong type"
    claim = cast(Finding, finding)
    if claim["file"] != source.path:
        return "names another file than the one under review"
    if claim["rule"] not in RULES:
        return "names a rule that does not exist"
    return _misquote(source, claim)


def _misquote(source: Source, finding: Finding) -> str:
    line = finding["line"]
    if not 0 < line <= len(source.lines):
        return f"the file has no line {line}"
    if finding["quote"] != source.quote(line):
        return "the quote is not what the line says"
    if not 0 < finding["column"] <= len(source.lines[line - 1]) + 1:
        return "the line has no such column"
    return ""


def _is_well_formed(finding: object) -> bool:
    if not isinstance(finding, dict):
        return False
    fields = cast(dict[str, Any], finding)
    texts = [fields.get(name) for name in _TEXTS]
    if not all(isinstance(text, str) and len(text) <= _TEXT_CHARS_MAX for text in texts):
        return False
    # A bool is an int for Python, but no line number.
    if type(fields.get("line")) is not int or type(fields.get("column")) is not int:
        return False
    return fields["severity"] in SEVERITIES and _RULE.match(fields["rule"]) is not None


def rejection(finding: object, reason: str) -> Rejected:
    """Keep of a rejected finding only what is needed to recognise it."""
    fields: dict[str, Any] = {"message": repr(finding)}
    if isinstance(finding, dict):
        fields = cast(dict[str, Any], finding)
    line = fields.get("line")
    return Rejected(
        file=str(fields.get("file", ""))[:_TEXT_CHARS_MAX],
        rule=str(fields.get("rule", ""))[:_TEXT_CHARS_MAX],
        line=line if type(line) is int else 0,
        claim=str(fields.get("message", ""))[:_TEXT_CHARS_MAX],
        reason=reason,
    )
