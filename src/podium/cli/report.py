"""How a run ended, for people and for programs."""

import sys
from typing import Any, Final, cast

import msgspec

from podium.cli.output import duration, emit, emit_json, note, styled
from podium.core.budgets import dollars
from podium.core.charges import NANO
from podium.core.payload import ErrorRecord
from podium.core.states import RunStatus
from podium.runtime.views import RunView, StepView

__all__ = ["cost_text", "error_lines", "print_view", "run_document", "step_document"]

LINES_MAX: Final = 40


def run_document(view: RunView, *, now_us: int) -> dict[str, Any]:
    """Return the document of `podium run --json`."""
    return {
        "run_id": view.run_id,
        "status": view.status,
        "output": view.output,
        "error": None if view.error is None else error_view(view.error),
        "steps": [step_document(step) for step in view.steps],
        "duration_ms": ((view.ended_us or now_us) - view.created_us) // 1000,
        "cost_usd": view.cost_nano / NANO,
        "tokens": view.tokens,
        "model_calls": view.calls,
        "workflow": view.workflow,
        "version": view.version,
        "reason": view.reason,
    }


def cost_text(view: RunView) -> str:
    """Return what a run has cost as people read it."""
    about = "about " if view.is_estimated else ""
    calls = f"{view.calls:,} call{'s' if view.calls != 1 else ''}"
    return f"{about}{dollars(view.cost_nano)} ({calls}, {view.tokens:,} tokens)"


def error_view(error: ErrorRecord) -> dict[str, Any]:
    """Return an error record with the names of the contract (title, detail) beside its own."""
    known: dict[str, Any] = msgspec.to_builtins(error)
    return {"title": error.kind, "detail": error.message, **known}


def step_document(step: StepView) -> dict[str, Any]:
    """Return what programs get to know about a step; outputs are in `runs show`."""
    ended = step.ended_us
    document: dict[str, Any] = {
        "step_record_id": step.step_record_id,
        "path": step.path,
        "kind": step.kind,
        "status": step.status,
        "attempts": step.attempts,
        "duration_ms": (ended - step.started_us) // 1000 if ended and step.started_us else None,
    }
    if step.items is not None:
        document |= {"items": step.items, "items_done": step.items_done or 0}
        document["items_failed"] = step.items_failed or 0
    if step.cost_nano:
        document["cost_usd"] = step.cost_nano / NANO
    if step.reason:
        document["reason"] = step.reason
    if step.error is not None:
        document["error"] = error_view(step.error)
    return document


def print_view(view: RunView, *, now_us: int, as_json: bool) -> None:
    """Print how a run ended: its output as data, everything else to the person."""
    if as_json:
        emit_json(run_document(view, now_us=now_us))
        return
    took = duration((view.ended_us or now_us) - view.created_us)
    spent = f"{took} for {cost_text(view)}" if view.calls else took
    if view.status == RunStatus.COMPLETED.label:
        mark = styled("✓", "green", stream=sys.stderr)
        note(f"{mark} {view.workflow} {view.run_id} completed in {spent}.")
        _print_output(view.output)
        return
    mark = styled("✗", "red", stream=sys.stderr)
    note(f"{mark} {view.workflow} {view.run_id} {view.status} after {spent}{_place(view)}.")
    if view.error is not None:
        note(error_lines(view.error))
    note(f"Why:       podium runs explain {view.run_id}")
    if "retry" in view.allowed:
        note(f"Try again: podium runs retry {view.run_id}")


def _place(view: RunView) -> str:
    step = view.error.step if view.error is not None else ""
    return f" at step {step!r}" if step else f" ({view.reason})" if view.reason else ""


def error_lines(error: ErrorRecord) -> str:
    """Return an error as what, why and fix, with the last frames of the user's code."""
    indent = " " * (len(error.code) + 2)
    known = error.kind in {"Error", "TaskError", "RunError"} or error.message.startswith(error.kind)
    what = error.message if known else f"{error.kind}: {error.message}"
    lines = [f"{styled(error.code, 'red', stream=sys.stderr)}  {what}"]
    lines += [indent + text for text in (error.why, error.fix) if text]
    lines += [indent + line for line in error.trace.rstrip().splitlines()]
    for cause in error.causes[:5]:
        lines.append(f"{indent}{cause.step}: {cause.kind}: {cause.message}")
    return "\n".join(lines)


def _print_output(output: Any) -> None:
    if output is None:
        return
    steps = _next_steps(output)
    if steps and sys.stdout.isatty():
        output = {name: value for name, value in output.items() if name != "next"}
    emit(output if isinstance(output, str) else _readable(output))
    if steps:
        note("Next:")
    for each in steps:
        note(f"  {each}")


def _next_steps(output: Any) -> list[str]:
    """Return what the workflow suggests to do next: its output may hold a list `next`."""
    known = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
    steps = known.get("next")
    if not isinstance(steps, list):
        return []
    return [str(each) for each in cast("list[object]", steps)]


def _readable(output: Any) -> str:
    """Return indented JSON; a person at a terminal gets the beginning of a long one."""
    text = msgspec.json.format(msgspec.json.encode(output, enc_hook=str), indent=2).decode()
    lines = text.splitlines()
    if not sys.stdout.isatty() or len(lines) <= LINES_MAX:
        return text
    more = f"… {len(lines) - LINES_MAX} more lines: --json prints all of it"
    return "\n".join([*lines[:LINES_MAX], more])
