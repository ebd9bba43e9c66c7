"""The last step: put the approved draft in place, and nothing but the approved draft."""

import json
from pathlib import Path
from typing import Any, TypedDict

from .drafts import NAMES, Draft, digest, discard, take, write_whole
from .edit import Summary
from .markdown import money

__all__ = ["Published", "publish"]

_WORKFLOW = Path(__file__).resolve().parent.parent / "workflow.yaml"


class Published(TypedDict):
    """The output of the run."""

    mode: str
    files: int
    findings: int
    rejected: int
    by_severity: dict[str, int]
    report_md: str
    report_json: str
    report_sha256: str
    tokens: int
    cost_usd: float
    next: list[str]


def publish(draft: Draft, run_id: str = "RUN") -> Published:
    """Write `report.md` and `report.json` if they are what was approved, and return the totals.

    Safe to repeat. Raises `ValueError` if the draft is not the one the hash stands for.
    """
    markdown, document = take(draft, NAMES[0]), take(draft, NAMES[1])
    _check(draft, markdown=markdown, document=document)
    folder = Path(draft["output_dir"])
    for name, data in zip(NAMES, (markdown, document), strict=True):
        write_whole(folder / name, data)
    discard(draft)
    summary: Summary = draft["summary"]
    return Published(
        mode=summary["mode"],
        files=summary["files"],
        findings=summary["findings"],
        rejected=summary["rejected"],
        by_severity=summary["by_severity"],
        report_md=str(folder / NAMES[0]),
        report_json=str(folder / NAMES[1]),
        report_sha256=draft["report_sha256"],
        tokens=summary["tokens"],
        cost_usd=summary["cost_usd"],
        next=[*_next_steps(run_id), _what_it_cost(summary, run_id)],
    )


def _check(draft: Draft, *, markdown: bytes, document: bytes) -> None:
    approved = draft["report_sha256"]
    found = digest(document)
    if found != approved:
        raise ValueError(
            f"The draft is not the one that was approved: its hash is {found[:16]}, "
            f"approved was {approved[:16]}. Nothing was written; run the edit step again."
        )
    report: dict[str, Any] = json.loads(document)
    if digest(markdown) != report["report_md_sha256"]:
        raise ValueError(
            "The text of the draft differs from what was approved with report.json. "
            "Nothing was written; run the edit step again."
        )


def _next_steps(run_id: str) -> list[str]:
    here = Path.cwd()
    workflow = _WORKFLOW.relative_to(here) if _WORKFLOW.is_relative_to(here) else _WORKFLOW
    command = f"podium run {workflow}"
    return [
        f"explain it: podium runs explain {run_id}",
        f"kill it: {command} --idempotency-key mine, then kill -9 it and run it again",
        f"change it: edit {workflow}, then podium runs rerun {run_id} --from edit",
        f"elsewhere: {command} -i path=DIR",
    ]


def _what_it_cost(summary: Summary, run_id: str) -> str:
    what = f"(mode: {summary['mode']}, {money({**summary})})"
    if summary["mode"] == "rules":
        return f"with a model: declare one under llm: in podium.yaml {what}"
    return f"what it cost: podium runs show {run_id} {what}"
