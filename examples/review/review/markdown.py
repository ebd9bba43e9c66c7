"""The report as Markdown, made of the JSON document alone.

Quotes come from files that may be hostile: they are shown as code, with control characters
made visible, and can neither format the report nor reach a terminal.
"""

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from .findings import SEVERITIES

__all__ = ["code", "money", "plain", "render", "visible"]

FINDINGS_MAX: Final = 200
LISTED_MAX: Final = 50
_QUOTE_CHARS_MAX: Final = 160
_PUNCTUATION: Final = re.compile(r"([\\`*_\[\]<>#!|~&])")
# What readers of Markdown make a link of without being asked.
_LINK: Final = re.compile(r"(?=://)|(?<=www)(?=\.)", re.IGNORECASE)

Report = dict[str, Any]


def visible(text: str) -> str:
    """Return the text with every character that is not a visible one or a space escaped."""
    return "".join(char if _is_visible(char) else _escaped(char) for char in text)


def _is_visible(char: str) -> bool:
    # Categories C* are control, format (also the ones that reverse text), private and surrogate.
    return char == " " or unicodedata.category(char)[0] not in "CZ"


def _escaped(char: str) -> str:
    return "    " if char == "\t" else char.encode("unicode_escape").decode("ascii", "replace")


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _LINK.sub(r"\\", _PUNCTUATION.sub(r"\\\1", visible(text)))


def code(text: str) -> str:
    """Return text as inline code; the fence is longer than any row of backticks inside."""
    shown = visible(text.strip())
    if len(shown) > _QUOTE_CHARS_MAX:
        shown = shown[:_QUOTE_CHARS_MAX] + "…"
    longest = max((len(row) for row in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if not shown or shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def money(report: Report) -> str:
    """Return what a review cost, for people."""
    cost = report["cost_usd"]
    if not report["tokens"]:
        return f"${cost:.2f}"
    return f"${cost:.4f} ({report['tokens']:,} tokens)"


def render(report: Report) -> str:
    """Return the report as text; equal documents give equal text."""
    parts = [_head(report), _overview(report), _totals(report), _findings(report), _rules(report)]
    parts.append(_modes(report))
    parts += [_rejected(report), _not_reviewed(report), _reproduce(report)]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(report: Report) -> Iterator[str]:
    yield f"# Review of {code(report['path'])}"
    yield ""
    yield f"- Mode: {report['mode']}, Python {report['python']}, cost {money(report)}"
    yield f"- Files reviewed: {report['files']:,} of {report['files_found']:,} found"
    yield f"- Findings: {len(report['findings']):,}"
    yield f"- Findings rejected by the verifier: {report['rejected_count']:,}"
    if report["findings_omitted"]:
        yield f"- Findings beyond the limit for one file: {report['findings_omitted']:,}"
    yield ""


def _overview(report: Report) -> Iterator[str]:
    if report["overview"]:
        yield "## Overview"
        yield ""
        # On one line, behind words of ours: it cannot begin a list, a heading or a table.
        text = plain(" ".join(report["overview"].split()))
        yield f"> Written by a model, verified by nobody: {text}"
        yield ""


def _totals(report: Report) -> Iterator[str]:
    findings = report["findings"]
    reviewers = sorted({finding["reviewer"] for finding in findings})
    counts = Counter((finding["severity"], finding["reviewer"]) for finding in findings)
    yield "## Totals"
    yield ""
    yield f"| severity | {' | '.join([*map(plain, reviewers), 'all'])} |"
    yield f"|---|{'---:|' * (len(reviewers) + 1)}"
    for severity in SEVERITIES:
        row = [counts[severity, reviewer] for reviewer in reviewers]
        cells = " | ".join(f"{count:,}" for count in [*row, sum(row)])
        yield f"| {severity} | {cells} |"
    yield ""


def _findings(report: Report) -> Iterator[str]:
    shown = report["findings"][:FINDINGS_MAX]
    hidden = len(report["findings"]) - len(shown)
    for severity, of_severity in groupby(shown, key=lambda each: each["severity"]):
        yield f"## Severity {severity}"
        yield ""
        for file, of_file in groupby(of_severity, key=lambda each: each["file"]):
            yield f"### {code(file)}"
            yield ""
            for finding in of_file:
                yield from _finding(finding)
            yield ""
    if hidden:
        yield f"{hidden:,} more findings, ranked after these, are in report.json."
        yield ""


def _finding(finding: dict[str, Any]) -> Iterator[str]:
    place = f"line {finding['line']}, column {finding['column']}"
    yield f"- **{finding['rule']}** {place}: {plain(finding['message'])}"
    yield f"  {code(finding['quote'])}"
    yield f"  Fix: {plain(finding['fix'])}"


def _rules(report: Report) -> Iterator[str]:
    if not report["by_rule"]:
        return
    yield "## Rules"
    yield ""
    yield "| rule | findings | about | why |"
    yield "|---|---:|---|---|"
    for rule, count in report["by_rule"].items():
        known = report["rules"].get(rule, {"title": "", "why": ""})
        yield f"| {rule} | {count:,} | {plain(known['title'])} | {plain(known['why'])} |"
    yield ""


def _modes(report: Report) -> Iterator[str]:
    if not report["modes"]:
        return
    yield "## Who reviewed"
    yield ""
    yield "| file | mode | tokens | cost |"
    yield "|---|---|---:|---:|"
    # What a model did not review whole is what a reader wants to know first.
    listed = sorted(report["modes"], key=lambda each: each["mode"] == "model")
    for each in listed[:FINDINGS_MAX]:
        cost = f"${each['cost_usd']:.4f}"
        path = code(each["path"]).replace("|", "\\|")
        yield f"| {path} | mode: {each['mode']} | {each['tokens']:,} | {cost} |"
    yield ""
    if len(listed) > FINDINGS_MAX:
        yield f"{len(listed) - FINDINGS_MAX:,} more files are in report.json."
        yield ""


def _rejected(report: Report) -> Iterator[str]:
    yield "## Rejected by the verifier"
    yield ""
    if not report["rejected_count"]:
        yield "None."
    for each in report["rejected"][:LISTED_MAX]:
        place = f"{code(each['file'])} line {each['line']}"
        yield f"- {plain(each['rule'])} {place}: {plain(each['reason'])}"
    yield from _more(report["rejected_count"], report["rejected"])
    yield ""


def _not_reviewed(report: Report) -> Iterator[str]:
    beyond = report["files_beyond_limit"]
    yield "## Not reviewed"
    yield ""
    if not report["not_reviewed_count"] and not beyond:
        yield "None."
    for each in report["not_reviewed"][:LISTED_MAX]:
        yield f"- {code(each['path'])}: {plain(each['reason'])}"
    yield from _more(report["not_reviewed_count"], report["not_reviewed"])
    if beyond:
        yield f"- {beyond:,} more beyond the limit."
    yield ""


def _more(total: int, listed: list[Any]) -> Iterator[str]:
    hidden = total - len(listed[:LISTED_MAX])
    if hidden:
        yield f"- {hidden:,} more."


def _reproduce(report: Report) -> Iterator[str]:
    yield "## Reproduce"
    yield ""
    yield f"    podium run workflow.yaml -i path={shlex.quote(visible(report['path']))}"
    yield ""
    yield "The hash that was approved is the SHA-256 of report.json, which holds that of this file."
