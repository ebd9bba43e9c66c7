"""Checked fields of a document → the `Workflow` model, with options inherited downwards.

A task takes what it does not say from its group, and its retry policy from the settings.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from podium.authoring.agents import FileReader, build_agents
from podium.authoring.fields import FieldReader, Fields
from podium.authoring.places import escape
from podium.authoring.schema import TABLES
from podium.core.budgets import Limits
from podium.core.charges import NANO
from podium.core.definition import (
    ApprovalPolicy,
    Checkpoint,
    ClosePolicy,
    Join,
    JoinKind,
    Loop,
    OnLost,
    RetryPolicy,
    RetryRule,
    Settings,
    Task,
    Timeouts,
    Tolerance,
    Workflow,
)

__all__ = ["build_workflow"]

Json = Any

RETRY_KEYS: Final = ("max_retries", "retry_delay", "exponential_backoff", "retry")
TASK_FIELDS: Final = (
    "uses",
    "depends_on",
    "for_each",
    "key",
    "max_parallel",
    "when",
    "group",
    "output",
    "priority",
    "verify",
    "max_recoveries",
    "idempotency_key",
    "optional",
    "executor",
    "pool",
)
RECORDED: Final = (
    *(name for name, key in TABLES["task"].items() if key.is_recorded_only),
    "description",
)


def build_workflow(
    value: Json,
    reader: FieldReader,
    *,
    name: str,
    defaults: Settings,
    read_file: FileReader | None = None,
) -> Workflow:
    """Return the workflow of a document; what is wrong in it is left out and reported."""
    fields = reader.read("workflow", value, "")
    settings = _settings(fields.get("settings", {}), defaults, reader)
    groups = _groups(fields.get("groups"), reader)
    builder = _TaskBuilder(reader, settings.retry, groups)
    return Workflow(
        name=fields.get("name", name),
        label=fields.get("version", ""),
        description=fields.get("description", ""),
        inputs=fields.get("inputs"),
        settings=settings,
        tasks=builder.tasks(fields.get("tasks", []), "/tasks"),
        groups=fields.get("groups"),
        output=fields.get("output"),
        agents=build_agents(fields.get("agents"), reader, read_file),
    )


def _settings(fields: Fields, defaults: Settings, reader: FieldReader) -> Settings:
    changes: Fields = {}
    for name, target in (("timeout", "timeout_us"), ("deadline", "deadline_us")):
        if name in fields:
            changes[target] = fields[name]
    for name in ("max_parallel_steps", "fail_fast", "circuit_breaker"):
        if name in fields:
            changes[name] = fields[name]
    if "budget" in fields:
        changes["budget"] = _budget(fields["budget"])
    retry = _retry(fields, defaults.retry, reader, "/settings")
    return msgspec.structs.replace(defaults, retry=retry, **changes)


def _groups(value: Json, reader: FieldReader) -> dict[str, Fields]:
    if not isinstance(value, dict):
        return {}
    groups = {
        name: reader.read("group", {} if body is None else body, f"/groups/{escape(name)}")
        for name, body in value.items()
    }
    for options in groups.values():
        options.pop("description", None)
    return groups


def _retry(fields: Fields, base: RetryPolicy, reader: FieldReader, pointer: str) -> RetryPolicy:
    """Return `base` with the seed keys and then the `retry` object laid over it."""
    given = fields.get("retry", {})
    for seed, name in (
        ("max_retries", "max_retries"),
        ("retry_delay", "delay"),
        ("exponential_backoff", "exponential"),
    ):
        if seed in fields and name in given:
            reader.fault(
                "PDM-D015",
                f"{seed!r} and retry.{name} are both given.",
                f"{pointer}/{seed}",
                why="They mean the same.",
                fix="Keep one of them.",
            )
    changes = {
        "max_retries": given.get("max_retries", fields.get("max_retries")),
        "delay_initial_us": given.get("delay", fields.get("retry_delay")),
        "exponential": given.get("exponential", fields.get("exponential_backoff")),
        "delay_max_us": given.get("max_delay"),
        "jitter": given.get("jitter"),
        "rules": _rules(given["rules"]) if "rules" in given else None,
    }
    set_ones = {name: value for name, value in changes.items() if value is not None}
    policy = msgspec.structs.replace(base, **set_ones)
    if "max_delay" not in given and policy.delay_initial_us > policy.delay_max_us:
        # A long first delay would otherwise be cut silently by the default limit.
        policy = msgspec.structs.replace(policy, delay_max_us=policy.delay_initial_us)
    return policy


def _rules(rules: list[Fields]) -> tuple[RetryRule, ...]:
    return tuple(
        RetryRule(
            error=rule["error"],
            max_retries=rule.get("max_retries"),
            delay_initial_us=rule.get("delay"),
        )
        for rule in rules
        if "error" in rule
    )


class _TaskBuilder:
    """Builds the tasks of one document."""

    def __init__(
        self, reader: FieldReader, retry: RetryPolicy, groups: Mapping[str, Fields]
    ) -> None:
        self._reader = reader
        self._retry = retry
        self._groups = groups

    def tasks(self, value: Json, pointer: str) -> tuple[Task, ...]:
        """Return the tasks of a list, or of an object that names them."""
        if isinstance(value, dict):
            return tuple(
                self._task({} if body is None else body, f"{pointer}/{escape(name)}", named=name)
                for name, body in value.items()
            )
        return tuple(self._task(body, f"{pointer}/{i}") for i, body in enumerate(value))

    def _task(self, body: Json, pointer: str, *, named: str = "") -> Task:
        own = self._reader.read("task", body, pointer, named=named)
        shared = self._groups.get(own.get("group", ""), {})
        fields = {**shared, **own} if shared else own
        values = {name: fields[name] for name in TASK_FIELDS if name in fields}
        has_retry = any(name in fields for name in RETRY_KEYS)
        return Task(
            # A nameless task keeps its place, so that the pointers of the others stay right.
            name=fields.get("name", ""),
            with_=fields.get("with"),
            tasks=self.tasks(fields.get("tasks", []), f"{pointer}/tasks"),
            retry=_retry(fields, self._retry, self._reader, pointer) if has_retry else None,
            timeouts=self._timeouts(fields, pointer),
            checkpoint=self._checkpoint(fields, pointer),
            join=_join(fields.get("join", "all")),
            tolerate=Tolerance(**fields["tolerate"]) if "tolerate" in fields else None,
            loop=_loop(fields.get("loop")),
            approval=_approval(fields["approval"]) if "approval" in fields else None,
            close_policy=ClosePolicy(fields.get("close_policy", "cancel")),
            on_lost=OnLost(fields.get("on_lost", "retry")),
            budget=_budget(fields["budget"]) if "budget" in fields else None,
            extensions=_recorded(own),
            **values,
        )

    def _timeouts(self, fields: Fields, pointer: str) -> Timeouts:
        given = fields.get("timeouts", {})
        if "timeout" in fields and "attempt" in given:
            self._reader.fault(
                "PDM-D015",
                "'timeout' and timeouts.attempt are both given.",
                f"{pointer}/timeout",
                why="The timeout of a task is the limit of one attempt.",
                fix="Keep one of them.",
            )
        limits = {f"{name}_us": value for name, value in given.items()}
        if "timeout" in fields:
            limits["attempt_us"] = fields["timeout"]
        return Timeouts(**limits)

    def _checkpoint(self, fields: Fields, pointer: str) -> Checkpoint:
        wanted = {fields["checkpoint"]} if "checkpoint" in fields else set[str]()
        wanted |= {side for side in ("before", "after") if fields.get(f"checkpoint_{side}")}
        if len(wanted) > 1:
            self._reader.fault(
                "PDM-D015",
                f"Two checkpoints are given: {' and '.join(sorted(wanted))}.",
                pointer,
                why="A task has one checkpoint: before it starts, or before its result counts.",
                fix="Keep one; add an `approval` task for the other.",
            )
        return Checkpoint(min(wanted, default="none"))


def _join(value: Json) -> Join:
    if isinstance(value, dict):
        return Join(kind=JoinKind.AT_LEAST, count=value.get("at_least", 1))
    return Join(kind=JoinKind(value))


def _loop(fields: Fields | None) -> Loop | None:
    if not fields or "until" not in fields:
        return None
    return Loop(
        until=fields["until"],
        max_iterations=fields.get("max_iterations", 100),
        delay_us=fields.get("delay") or 0,
    )


def _approval(fields: Fields) -> ApprovalPolicy:
    return ApprovalPolicy(
        expires_us=fields.get("expires_in"),
        escalate_us=fields.get("escalate_after"),
        escalate_to=fields.get("escalate_to", ""),
        four_eyes=fields.get("four_eyes", False),
    )


def _budget(fields: Fields) -> Limits:
    usd = fields.get("usd")
    cost_nano = None if usd is None else round(Decimal(str(usd)) * NANO)
    return Limits(cost_nano, fields.get("tokens"), fields.get("calls"), fields.get("time"))


def _recorded(fields: Fields) -> Json:
    return {name: fields[name] for name in RECORDED if name in fields} or None
