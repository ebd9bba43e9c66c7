"""The definition language as data: every key, once.

The loader takes its known keys, types and aliases from these tables; `definition_schema` turns
the same tables into the JSON Schema that editors use.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from podium.core.ranges import RANGES

__all__ = ["ALIASES", "EQUIVALENTS", "TABLES", "Key", "definition_schema"]

Json = Any

NAME_PATTERN: Final = "^[A-Za-z][A-Za-z0-9_-]{0,62}$"
SCHEMA_ID: Final = "urn:podium:definition:1"


class Key(msgspec.Struct, frozen=True):
    """One key of the language: what it takes and what it means."""

    kind: str
    doc: str
    choices: tuple[str, ...] = ()
    table: str = ""
    """For `object` and `objects`: the table of the keys inside."""
    range: str = ""
    """The name of its range in `core.ranges`."""
    aliases: tuple[str, ...] = ()
    is_required: bool = False
    is_recorded_only: bool = False
    """Accepted and stored, but without effect in this version."""


ON_LOST: Final = ("retry", "in_doubt")

SEED_KEYS: Final = {
    "timeout": Key("duration", "Limit of time; see also `timeouts`.", range="timeout"),
    "max_retries": Key("integer", "How often a failed attempt is retried.", range="max_retries"),
    "retry_delay": Key("duration", "Delay before the first retry.", range="retry_delay"),
    "exponential_backoff": Key("boolean", "Double the delay before every further retry."),
    "circuit_breaker": Key("mapping", "Stop calling what keeps failing.", is_recorded_only=True),
    "retry": Key("object", "The retry policy in full.", table="retry"),
}

GROUP_OPTIONS: Final = {
    **SEED_KEYS,
    "timeouts": Key("object", "Limits of time by kind.", table="timeouts"),
    "priority": Key(
        "priority", "Who goes first: a name or 0 (first) to 100 (last).", range="priority"
    ),
    "on_lost": Key("choice", "What an attempt cut off by a crash means.", choices=ON_LOST),
    "max_recoveries": Key(
        "integer", "How often a step is started again after crashes.", range="max_recoveries"
    ),
    "optional": Key("boolean", "A failure of this task does not fail the run."),
    "executor": Key("text", "Where attempts run."),
    "pool": Key("text", "The workers that run it."),
}

TASK: Final = {
    "name": Key("name", "The name, unique on its level.", is_required=True),
    "uses": Key("text", "What to run; without it the task does nothing."),
    "with": Key("arguments", "Arguments; strings may hold `${{ expressions }}`."),
    "description": Key("text", "A note for people."),
    "depends_on": Key("names", "Tasks that must end before this one.", aliases=("dependsOn",)),
    "for_each": Key("items", "Run once for each item of a list or an object."),
    "key": Key("template", "The stable name of one mapped step."),
    "max_parallel": Key(
        "integer",
        "How many mapped steps run at once.",
        range="max_parallel",
        aliases=("max_parallel_steps",),
    ),
    "tolerate": Key("object", "How many items may fail.", table="tolerate"),
    "when": Key("condition", "Run only if this is true; otherwise the task is skipped."),
    "join": Key("join", "Which dependencies must have completed.", table="join"),
    "checkpoint": Key(
        "choice", "Where a person must approve.", choices=("none", "before", "after")
    ),
    "approval": Key("object", "Who may approve it, and until when.", table="approval"),
    "checkpoint_before": Key("boolean", "The same as `checkpoint: before`."),
    "checkpoint_after": Key("boolean", "The same as `checkpoint: after`."),
    "close_policy": Key(
        "choice",
        "What becomes of its child run when the step is cancelled.",
        choices=("cancel", "abort", "abandon"),
    ),
    "group": Key("name", "The group it is shown in and takes options from."),
    "loop": Key("object", "Repeat until a condition is true.", table="loop"),
    "tasks": Key("tasks", "A block: a graph of its own in this task's place."),
    "output": Key("text", "For a block: the task whose output is the block's."),
    "verify": Key("text", "`python:module:function` that tells what an earlier attempt has done."),
    "idempotency_key": Key("template", "A key for effects outside, the same for every attempt."),
    **GROUP_OPTIONS,
    "cache": Key("recorded", "Reuse earlier results.", is_recorded_only=True),
    "concurrency": Key("recorded", "Limit by key.", is_recorded_only=True),
    "rate": Key("recorded", "Limit starts over time.", is_recorded_only=True),
    "budget": Key("object", "What it may use of models, its child run included.", table="budget"),
    "compensate": Key("recorded", "Undo when the run is cancelled.", is_recorded_only=True),
    "resources": Key("recorded", "CPU, memory and GPU needed.", is_recorded_only=True),
    "agent": Key("recorded", "The agent that runs it.", is_recorded_only=True),
}

AGENT: Final = {
    "model": Key("text", "An alias from `llm: models:`; default: the only or default one."),
    "description": Key("text", "What it is for; agents that have it as a tool see this."),
    "instructions": Key("text", "What to do: text, or a .md or .txt file beside the definition."),
    "tools": Key("tools", "What it may call, and nothing else.", table="agent_tool"),
    "output": Key("schema", "JSON Schema of the result, or a .json file that holds it."),
    "fallback": Key("text", "`python:module:function` that stands in without a model or money."),
    "budget": Key("object", "What one run of it may spend.", table="agent_budget"),
    "max_turns": Key("integer", "Calls of the model at most; default 8.", range="max_turns"),
    "max_tokens": Key("integer", "Tokens of one answer at most; default 2048.", range="max_tokens"),
    "temperature": Key("number", "How much chance goes into answers.", range="temperature"),
    "approvals": Key("texts", "Tools of which a person approves every call."),
    "on_lost": Key("choice", "What a call of the model cut off by a crash means.", choices=ON_LOST),
    "on_taint": Key(
        "choice",
        "Writing calls after content from outside was read.",
        choices=("ask", "refuse"),
    ),
    "untrusted_input": Key("boolean", "Its input comes from outside."),
    "repairs": Key(
        "integer", "How often an answer that does not fit is sent back.", range="repairs"
    ),
}

AGENT_TABLES: Final = {
    "agent": AGENT,
    "agent_tool": {
        "uses": Key(
            "text",
            "`read_file`, `grep`, `http_get`, `python:module:function` or `agent:<slug>`.",
            is_required=True,
        ),
        "name": Key("text", "How the model calls it."),
        "effect": Key("choice", "What it does to the world.", choices=("read", "write")),
        "on_lost": Key("choice", "What a call cut off by a crash means.", choices=ON_LOST),
        "verify": Key("text", "`python:module:function` that tells what an earlier call has done."),
        "roots": Key("texts", "Folders files may be read from; `${{ input.x }}` is allowed."),
        "hosts": Key("texts", "Hosts that may be asked."),
        "calls": Key("integer", "How often it may be called in a run.", range="calls"),
        "timeout": Key("duration", "Limit of one call; default 30 s.", range="timeout"),
        "result_bytes": Key("integer", "What of a result the model sees.", range="result_bytes"),
    },
    "agent_budget": {
        "usd": Key("number", "Dollars.", range="usd"),
        "tokens": Key("integer", "Tokens of all calls.", range="tokens"),
        "turns": Key("integer", "Calls of the model.", range="max_turns"),
        "calls": Key("integer", "Calls of tools.", range="calls"),
        "time": Key("duration", "Time by the clock.", range="timeout"),
    },
    "budget": {
        "usd": Key("number", "Dollars.", range="usd"),
        "tokens": Key("integer", "Tokens of all calls of models.", range="tokens"),
        "calls": Key("integer", "Calls of models.", range="calls"),
        "time": Key("duration", "Time spent in calls of models.", range="timeout"),
    },
}

TABLES: Final[Mapping[str, Mapping[str, Key]]] = MappingProxyType(
    {
        "workflow": {
            "name": Key("name", "The name of the workflow; default: the file's name."),
            "version": Key("label", "A label for people; identity is the content hash."),
            "description": Key("text", "What it is for."),
            "inputs": Key("inputs", "JSON Schema by input name."),
            "settings": Key(
                "object", "Settings of the run.", table="settings", aliases=("workflow",)
            ),
            "tasks": Key("tasks", "The tasks, as a list or by name.", is_required=True),
            "groups": Key("groups", "Options that the tasks of a group share, by group name."),
            "output": Key("text", "The task whose output is the run's; default: the last task."),
            "agents": Key("agents", "The agents that tasks may use, by name."),
        },
        "settings": {
            **SEED_KEYS,
            "timeout": Key(
                "duration", "Limit of time in `running`; null: no limit.", range="timeout"
            ),
            "max_parallel_steps": Key(
                "integer", "How many steps of a run go at once.", range="max_parallel_steps"
            ),
            "deadline": Key("duration", "Limit of time by the wall clock.", range="deadline"),
            "fail_fast": Key("boolean", "Cancel open steps when a required one fails."),
            "budget": Key("object", "What a run and its child runs may use.", table="budget"),
        },
        "task": TASK,
        "group": {"description": Key("text", "What belongs to it."), **GROUP_OPTIONS},
        "retry": {
            "max_retries": Key("integer", "Retries after the first attempt.", range="max_retries"),
            "delay": Key("duration", "Delay before the first retry.", range="retry_delay"),
            "exponential": Key("boolean", "Double it each time.", aliases=("exponential_backoff",)),
            "max_delay": Key("duration", "The longest delay.", range="max_delay"),
            "jitter": Key("boolean", "Draw each delay between 0 and the full one."),
            "rules": Key("objects", "Exceptions by error; the first match wins.", table="rule"),
        },
        "rule": {
            "error": Key(
                "text",
                "A class name, or a pattern such as `Http*`.",
                aliases=("on",),
                is_required=True,
            ),
            "max_retries": Key("integer", "Retries for it; 0: final.", range="max_retries"),
            "delay": Key("duration", "Delay before the first retry.", range="retry_delay"),
        },
        "timeouts": {
            "queue": Key("duration", "From ready to started.", range="queue"),
            "attempt": Key("duration", "One attempt.", range="attempt"),
            "total": Key("duration", "All attempts with the waits between.", range="total"),
            "heartbeat": Key("duration", "The longest silence.", range="heartbeat"),
            "lock": Key("duration", "Waiting for a concurrency key.", range="lock"),
        },
        "join": {
            "at_least": Key(
                "integer", "So many must have completed.", range="at_least", is_required=True
            )
        },
        "approval": {
            "expires_in": Key(
                "duration", "Fail the step if nobody answers in time.", range="expires_in"
            ),
            "escalate_after": Key(
                "duration", "Tell somebody else after so long.", range="escalate_after"
            ),
            "escalate_to": Key("text", "Whom: a name, a team, an address."),
            "four_eyes": Key("boolean", "Whoever asked for the run cannot approve it."),
        },
        "tolerate": {
            "failures": Key("integer", "So many items may fail.", range="failures"),
            "percent": Key("number", "Such a share may fail.", range="percent"),
        },
        "loop": {
            "until": Key("condition", "Stop when this is true.", is_required=True),
            "max_iterations": Key(
                "integer", "Fail after so many; default 100.", range="max_iterations"
            ),
            "delay": Key("duration", "Wait between iterations.", range="loop_delay"),
        },
        **AGENT_TABLES,
    }
)

ALIASES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        name: tuple(
            dict.fromkeys(
                alias for other in TABLES.values() if name in other for alias in other[name].aliases
            )
        )
        for table in TABLES.values()
        for name, key in table.items()
        if key.aliases
    }
)
"""The other spellings of a key, wherever it may stand."""

EQUIVALENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_retries": "retry/max_retries",
        "retry_delay": "retry/delay",
        "timeouts/attempt": "timeout",
    }
)
"""Where else the value at the end of a pointer may have been written."""

JOIN_NAMES: Final = ("all", "any", "all_done")
PRIORITY_NAMES: Final = ("critical", "high", "normal", "low")

TEXT: Final = {"type": "string"}
KIND_SCHEMAS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "text": TEXT,
        "name": {"type": "string", "pattern": NAME_PATTERN},
        "label": {"type": ["string", "integer"]},
        "boolean": {"type": "boolean"},
        "integer": {"type": "integer"},
        "number": {"type": "number"},
        "duration": {"type": ["number", "string", "null"]},
        "template": {"type": ["string", "integer"]},
        "condition": {"type": ["string", "boolean"]},
        "names": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]},
        "items": {"type": ["string", "array", "object"]},
        "arguments": {"type": ["object", "string", "null"]},
        "mapping": {"type": "object"},
        "recorded": {},
        "inputs": {"type": "object", "additionalProperties": {"type": "object"}},
        "groups": {"type": "object", "additionalProperties": {"$ref": "#/$defs/group"}},
        "agents": {"type": "object", "additionalProperties": {"$ref": "#/$defs/agent"}},
        "texts": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]},
        "schema": {"type": ["object", "string"]},
        "tools": {"type": "array", "items": {"anyOf": [TEXT, {"$ref": "#/$defs/agent_tool"}]}},
        "priority": {
            "anyOf": [
                {"enum": list(PRIORITY_NAMES)},
                {"type": "integer", "minimum": 0, "maximum": 100},
            ]
        },
        "join": {"anyOf": [{"enum": list(JOIN_NAMES)}, {"$ref": "#/$defs/join"}]},
        "tasks": {
            "anyOf": [
                {"type": "array", "items": {"$ref": "#/$defs/task"}},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/named_task"}},
            ]
        },
    }
)


def definition_schema() -> dict[str, Json]:
    """Return the JSON Schema (2020-12) of workflow definitions, for editors."""
    defs = {name: _table_schema(name) for name in TABLES if name != "workflow"}
    # A task written under its name need not repeat it.
    defs["named_task"] = {**defs["task"], "required": []}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Podium workflow definition",
        **_table_schema("workflow"),
        "$defs": defs,
    }


def _table_schema(name: str) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    for key_name, key in TABLES[name].items():
        for spelling in (key_name, *key.aliases):
            properties[spelling] = _key_schema(key)
    required = [n for n, key in TABLES[name].items() if key.is_required and not key.aliases]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _key_schema(key: Key) -> dict[str, Json]:
    schema: dict[str, Json] = {"description": key.doc}
    if key.choices:
        return {**schema, "enum": list(key.choices)}
    if key.kind == "object":
        return {**schema, "$ref": f"#/$defs/{key.table}"}
    if key.kind == "objects":
        return {**schema, "type": "array", "items": {"$ref": f"#/$defs/{key.table}"}}
    schema |= KIND_SCHEMAS[key.kind]
    limits = RANGES.get(key.range)
    if limits and not limits.is_duration and key.kind in ("integer", "number"):
        schema |= {"minimum": limits.low, "maximum": limits.high}
    return schema
