"""The editor: merges what the verifier let through, ranks it, and drafts the report.

The draft is a function of its arguments alone: no clock, no chance, so the hash that a person
approves is the hash of whatever a repeated step would write. A model adds an overview in words;
which findings there are, and in which order, it does not decide.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, TypedDict

from .catalogue import RULES
from .drafts import Draft, digest, save
from .findings import SEVERITIES, Answer, Finding, Plan, Rejected, Skipped, Verdict
from .markdown import render, visible
from .settle import combined, nano

__all__ = ["Summary", "build", "edit", "no_overview", "rank"]

REJECTED_MAX: Final = 200
TOP: Final = 5
EDITOR_TOP: Final = 20
OVERVIEW_CHARS_MAX: Final = 1000


class Summary(TypedDict):
    """What a person needs to see before approving; small enough for any screen."""

    mode: str
    path: str
    files: int
    findings: int
    rejected: int
    not_reviewed: int
    by_severity: dict[str, int]
    top: list[str]
    tokens: int
    cost_usd: float


def rank(plan: Plan, verdicts: Sequence[Verdict | None]) -> Summary:
    """Return what an editor is told of the review: its figures and its first findings."""
    report = build(plan, [verdict for verdict in verdicts if verdict])
    return summary(report, top=EDITOR_TOP)


def no_overview(review: Summary) -> dict[str, str]:
    """Return no overview: rules have nothing to say in words of their own."""
    return {"overview": ""}


def edit(plan: Plan, verdicts: Sequence[Verdict | None], editor: Answer | None = None) -> Draft:
    """Draft `report.md` and `report.json` and return where they are, with their hash.

    Safe to repeat: the same input gives the same bytes in the same place. A file without a
    verdict, because its steps failed, is listed as not reviewed.
    """
    report = build(plan, [verdict for verdict in verdicts if verdict], editor)
    markdown = render(report).encode()
    # The hash of report.json covers both files, because the one holds the hash of the other.
    report["report_md_sha256"] = digest(markdown)
    document = json.dumps(report, indent=1, sort_keys=True).encode() + b"\n"
    return save(plan["output_dir"], markdown=markdown, document=document, summary=summary(report))


def build(plan: Plan, verdicts: Sequence[Verdict], editor: Answer | None = None) -> dict[str, Any]:
    """Return the report as a JSON document."""
    findings = _ranked(_merged(chain.from_iterable(verdict["findings"] for verdict in verdicts)))
    rejected = sorted(
        chain.from_iterable(verdict["rejected"] for verdict in verdicts), key=_rejected_place
    )
    not_reviewed = _not_reviewed(plan, verdicts)
    unseen = plan["skipped_count"] - len(plan["skipped"])
    by_rule = Counter(finding["rule"] for finding in findings)
    by_severity = Counter(finding["severity"] for finding in findings)
    return {
        **_spent(verdicts, editor),
        "path": plan["path"],
        "python": plan["python"],
        "files": sum(not verdict["changed"] for verdict in verdicts),
        "files_found": plan["files_found"],
        "files_beyond_limit": plan["files_found"] - len(plan["files"]) - plan["skipped_count"],
        "by_severity": {severity: by_severity[severity] for severity in SEVERITIES},
        "by_rule": dict(sorted(by_rule.items())),
        "rules": {rule: RULES[rule]._asdict() for rule in sorted(by_rule.keys() & RULES.keys())},
        "findings": findings,
        "findings_omitted": sum(verdict["omitted"] for verdict in verdicts),
        "rejected": rejected[:REJECTED_MAX],
        "rejected_count": len(rejected),
        "not_reviewed": not_reviewed,
        "not_reviewed_count": len(not_reviewed) + unseen,
    }


def _spent(verdicts: Sequence[Verdict], editor: Answer | None) -> dict[str, Any]:
    """Return who reviewed, and what it took; each file by itself where a model had a part."""
    mode = combined(verdict["mode"] for verdict in verdicts)
    words = editor["result"]["overview"] if editor and editor["mode"] == "model" else ""
    cost_nano = sum(verdict["cost_nano"] for verdict in verdicts) + (nano(editor) if editor else 0)
    listed = sorted(verdicts, key=lambda each: each["file"]) if mode != "rules" else []
    return {
        "mode": mode,
        "cost_usd": cost_nano / 1e9,
        "tokens": sum(each["tokens"] for each in verdicts) + (editor["tokens"] if editor else 0),
        "overview": words[:OVERVIEW_CHARS_MAX],
        "modes": [
            {
                "path": each["file"],
                "mode": each["mode"],
                "tokens": each["tokens"],
                "cost_usd": each["cost_nano"] / 1e9,
            }
            for each in listed
        ],
    }


def summary(report: dict[str, Any], *, top: int = TOP) -> Summary:
    """Return the figures of a report and its first findings."""
    first = report["findings"][:top]
    return Summary(
        mode=report["mode"],
        path=report["path"],
        files=report["files"],
        findings=len(report["findings"]),
        rejected=report["rejected_count"],
        not_reviewed=report["not_reviewed_count"],
        by_severity=report["by_severity"],
        top=[
            f"{f['severity']} {f['file']}:{f['line']} {f['rule']} {visible(f['message'])}"
            for f in first
        ],
        tokens=report["tokens"],
        cost_usd=report["cost_usd"],
    )


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """Make one finding of those that make the same claim about the same line."""
    kept: dict[tuple[str, str, int], Finding] = {}
    for finding in findings:
        place = (finding["rule"], finding["file"], finding["line"])
        known = kept.setdefault(place, finding)
        reviewers = sorted({*known["reviewer"].split(", "), finding["reviewer"]})
        kept[place] = {**known, "reviewer": ", ".join(reviewers)}
    return list(kept.values())


def _ranked(findings: list[Finding]) -> list[Finding]:
    """Order by severity, then files with most findings of it first, then by place."""
    weight = Counter((finding["severity"], finding["file"]) for finding in findings)

    def rank(finding: Finding) -> tuple[int, int, str, int, str]:
        severity, file = finding["severity"], finding["file"]
        level = SEVERITIES.index(severity)
        return level, -weight[severity, file], file, finding["line"], finding["rule"]

    return sorted(findings, key=rank)


def _not_reviewed(plan: Plan, verdicts: Sequence[Verdict]) -> list[Skipped]:
    reasons = {entry["path"]: "its review failed" for entry in plan["files"]}
    for verdict in verdicts:
        reasons[verdict["file"]] = verdict["changed"]
    missing = [Skipped(path=path, reason=reason) for path, reason in reasons.items() if reason]
    return [*plan["skipped"], *missing]


def _rejected_place(rejected: Rejected) -> tuple[str, int, str]:
    return rejected["file"], rejected["line"], rejected["rule"]
