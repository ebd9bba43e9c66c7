"""The last word on one file: what agents answered, checked, and who they were.

Rules answer in the shape of findings. A model answers in that shape too, and nothing of it is
taken on trust: who it is and how severe a known rule is, is put in here; the rest is checked.
"""

from collections.abc import Iterable
from typing import Any

from .catalogue import RULES
from .findings import Answer, FileEntry, Finding, Rejected, Review, Verdict
from .reviewer import FINDINGS_MAX
from .source import Source, Unreadable, read
from .verify import REJECTED_MAX, rejection, verify

__all__ = ["combined", "nano", "settle"]

_REASON_CHARS_MAX = 200
_ANY = "M001"


def settle(file: FileEntry, answers: dict[str, Answer], verifier: Answer | None = None) -> Verdict:
    """Return the findings of all reviewers that hold, and what they took.

    `answers` are those of the reviewers by name, `verifier` the one about them: None if there
    was nothing to verify.
    """
    source = _source(file)
    verdict = verify(file, [_review(*each, source) for each in answers.items()])
    asked = [*answers.values(), *([verifier] if verifier else [])]
    if verifier and verifier["mode"] == "model":
        verdict = _without(verdict, verifier["result"]["rejected"])
    return {
        **verdict,
        "mode": combined(map(_mode, asked)),
        "tokens": sum(answer["tokens"] for answer in asked),
        "cost_nano": sum(map(nano, asked)),
    }


def nano(answer: Answer) -> int:
    """Return what an answer cost in billionths of a dollar, which add up exactly."""
    return round(answer["cost_usd"] * 1e9)


def combined(modes: Iterable[str]) -> str:
    """Return what several modes are together.

    >>> combined(["model", "rules (budget)", "model"])
    'model and rules (budget)'
    """
    parts = {part for mode in modes for part in mode.split(" and ")}
    return " and ".join(sorted(parts)) or "rules"


def _mode(answer: Answer) -> str:
    if answer["mode"] == "model":
        return "model"
    # Without a model, rules are what is asked for, and no reason has to be given.
    reason = answer["reason"]
    return "rules" if reason in {"", "no_model"} else f"rules ({reason})"


def _source(file: FileEntry) -> Source | None:
    try:
        return read(file["root"], file["path"])
    except Unreadable:
        return None


def _review(reviewer: str, answer: Answer, source: Source | None) -> Review:
    review: Review = answer["result"]
    if answer["mode"] != "model":
        return review
    claims = [_claim(each, reviewer, source) for each in review["findings"]]
    return Review(findings=claims[:FINDINGS_MAX], omitted=max(len(claims) - FINDINGS_MAX, 0))


def _claim(said: Finding, reviewer: str, source: Source | None) -> Finding:
    """Return what a model said with everything put right that is not its to say."""
    claim: dict[str, Any] = {**said, "reviewer": reviewer}
    rule = RULES.get(said["rule"])
    if rule is not None and rule.id != _ANY:
        claim["severity"] = rule.severity
    # Models leave out the indent of the line they quote; the line itself decides.
    line = "" if source is None else source.quote(said["line"])
    if line.strip() and said["quote"].strip() == line.strip():
        indent = len(line) - len(line.lstrip())
        claim |= {"quote": line, "column": max(said["column"], indent + 1)}
        if claim["column"] > len(line):
            claim["column"] = indent + 1
    finding: Finding = claim  # type: ignore[assignment]
    return finding


def _without(verdict: Verdict, objections: list[Any]) -> Verdict:
    """Return the verdict without the findings a verifying model objects to."""
    said = {(each["rule"], each["line"]): each["reason"] for each in objections}
    kept: list[Finding] = []
    gone: list[Rejected] = []
    for finding in verdict["findings"]:
        reason = said.get((finding["rule"], finding["line"]))
        if reason is None:
            kept.append(finding)
        else:
            why = f"the verifier objects: {reason[:_REASON_CHARS_MAX]}"
            gone.append(rejection(finding, why))
    rejected = [*verdict["rejected"], *gone]
    beyond = max(len(rejected) - REJECTED_MAX, 0)
    return {
        **verdict,
        "findings": kept,
        "rejected": rejected[:REJECTED_MAX],
        "omitted": verdict["omitted"] + beyond,
    }
