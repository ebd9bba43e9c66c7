"""The values that travel between the steps, as JSON: plan, finding, review and verdict.

They are plain dictionaries because a journal, a person and another program must all read them.
"""

from typing import Any, Final, NamedTuple, TypedDict

__all__ = [
    "MODE",
    "QUOTE_CHARS_MAX",
    "SEVERITIES",
    "Answer",
    "FileEntry",
    "Finding",
    "Hit",
    "Objection",
    "Objections",
    "Plan",
    "Rejected",
    "Review",
    "Skipped",
    "Verdict",
    "position",
]

MODE: Final = "rules"
SEVERITIES: Final = ("high", "medium", "low")

# One generated line may be a megabyte long; a quote needs only enough to be recognised.
QUOTE_CHARS_MAX: Final = 200


class FileEntry(TypedDict):
    """A file as the plan saw it, complete in itself: where, how large, and with which hash."""

    root: str
    path: str
    size: int
    sha256: str


class Skipped(TypedDict):
    """A file that is not reviewed, and why."""

    path: str
    reason: str


class Plan(TypedDict):
    """What will be reviewed. `path` is as the user wrote it, `root` and `output_dir` absolute."""

    path: str
    root: str
    output_dir: str
    python: str
    files: list[FileEntry]
    files_found: int
    skipped: list[Skipped]
    skipped_count: int


class Finding(TypedDict):
    """One claim about one line; line and column count from 1, columns in characters."""

    rule: str
    severity: str
    file: str
    line: int
    column: int
    quote: str
    message: str
    fix: str
    reviewer: str


class Review(TypedDict):
    """What one reviewer says about one file; `omitted` counts findings over the limit."""

    findings: list[Finding]
    omitted: int


class Answer(TypedDict):
    """What an agent came to; `reason` says why its `mode` is not "model"."""

    mode: str
    result: Any
    reason: str
    turns: int
    calls: int
    tokens: int
    cost_usd: float


class Objection(TypedDict):
    """A finding, by rule and line, that does not hold."""

    rule: str
    line: int
    reason: str


class Objections(TypedDict):
    """What the verifier says about the findings of one file."""

    rejected: list[Objection]


class Rejected(TypedDict):
    """A claim that did not survive verification; only text, whatever the reviewer sent."""

    file: str
    rule: str
    line: int
    claim: str
    reason: str


class Verdict(TypedDict):
    """The verified result of one file; `changed` says why nothing about it could be verified.

    `mode` says who reviewed it: "model", "rules", "rules (budget)", or "model and rules (…)".
    """

    file: str
    findings: list[Finding]
    rejected: list[Rejected]
    omitted: int
    changed: str
    mode: str
    tokens: int
    cost_nano: int


class Hit(NamedTuple):
    """A rule that matched, before its line is quoted; `offset` is the parser's, in bytes."""

    rule: str
    line: int
    offset: int
    message: str


def position(finding: Finding) -> tuple[str, int, int, str]:
    """Return the key that orders findings as a reader meets them."""
    return finding["file"], finding["line"], finding["column"], finding["rule"]
