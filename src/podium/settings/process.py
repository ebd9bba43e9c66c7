"""One typed object with every setting: flag > environment > podium.yaml > default.

Each value knows where it came from, so `podium config show` can say so. Files are read by the
caller; this module only merges what it is given.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from podium.core.definition import SECOND_US, RetryPolicy
from podium.core.definition import Settings as RunSettings
from podium.core.durations import parse_duration
from podium.errors import RequestError, did_you_mean
from podium.settings.llm import BudgetSettings, LlmSettings
from podium.settings.reading import read_budgets, read_llm, read_retention
from podium.settings.retention import RetentionSettings

__all__ = ["DEFAULT_STORE", "Settings", "Sourced", "merge_settings", "run_settings"]

DEFAULT_STORE: Final = "sqlite:///.podium/podium.db"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one podium process."""

    database_url: str = DEFAULT_STORE
    """Where runs are kept: `sqlite:///path`."""
    organization: str = "default"
    """The organization that started runs belong to."""
    capacity: int = 1000
    """Attempts this process runs at once."""
    evict_after: float = 1.0
    """Seconds a run only waits before it leaves memory."""
    task_modules: tuple[str, ...] = ()
    """Modules whose functions may be named by definitions that come over the network."""
    allow_shell: tuple[str, ...] = ()
    """Executables that definitions that come over the network may run."""
    log_level: str = "warning"
    """debug, info, warning or error."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """How log lines look; `auto`: text on a terminal, JSON elsewhere."""
    bootstrap_key_file: str = ""
    """A file with the first key of an administrator, for containers."""
    requests_per_second: float = 500.0
    """Requests a key may make, in each process; 0: as many as it likes."""
    metrics_public: bool = False
    """Show `/metrics` to callers without a key."""
    capture_logs: bool = True
    """Keep what attempts print and log, to be read with their run."""
    progress_webhook_url: str = ""
    """Where every event is sent (seed 003); empty: nowhere."""
    egress_allow: tuple[str, ...] = ()
    """Hosts, host:port and networks that are not public and may be sent to nevertheless."""
    workflow: dict[str, Any] = {}
    """Defaults of every run: the keys of a definition's `settings:` block."""
    agent: dict[str, Any] = {}
    """Defaults of agents (seed 002): capacity, health_check_interval, heartbeat_timeout, …"""
    llm: LlmSettings = LlmSettings()
    """Providers and models."""
    agents: dict[str, Any] = {}
    """Agents that every definition may use: the keys of a definition's `agents:` block."""
    budgets: tuple[BudgetSettings, ...] = ()
    """What calls of models may use."""
    schedules: dict[str, Any] = {}
    """Schedules by name, made when a server begins and by `podium schedules apply`."""
    retention: RetentionSettings = RetentionSettings()
    """How long closed runs and their logs are kept."""


class Sourced(msgspec.Struct, frozen=True):
    """A value and where it came from."""

    value: Any
    source: str


_SEEDS_NAMES: Final = {
    "database_url": ("DATABASE_URL",),
    "progress_webhook_url": ("ORCHESTRATION_PROGRESS_WEBHOOK_URL",),
}
"""Names of the environment that count after our own."""
_FILE_ONLY: Final = frozenset(
    {"workflow", "agent", "llm", "agents", "budgets", "retention", "schedules"}
)
_BLOCKS: Final[Mapping[str, Callable[..., Any]]] = {
    "llm": read_llm,
    "budgets": read_budgets,
    "retention": read_retention,
}


def merge_settings(
    *,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Mapping[str, Any],
    file_name: str = "podium.yaml",
) -> tuple[Settings, dict[str, Sourced]]:
    """Return the settings and the source of each value.

    Raises `RequestError` PDM-R040 for an unknown key in the file, PDM-R041 for a bad value.
    """
    known = Settings.__struct_fields__
    for key in file:
        if key not in known:
            raise RequestError(
                f"{file_name} has an unknown key {key!r}.",
                fix=did_you_mean(key, known),
                code="PDM-R040",
            )
    sources: dict[str, Sourced] = {}
    for name in known:
        sources[name] = _lookup(name, flags, environment, file, file_name)
    blocks = {
        name: read(file[name], source=file_name) for name, read in _BLOCKS.items() if name in file
    }
    values = {name: each.value for name, each in sources.items() if name not in _BLOCKS}
    try:
        plain = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError(
            f"A setting has a wrong value: {error}.",
            fix="`podium config show` lists every value with its source.",
            code="PDM-R041",
        ) from error
    return msgspec.structs.replace(plain, **blocks), sources


def _lookup(
    name: str,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Mapping[str, Any],
    file_name: str,
) -> Sourced:
    if flags.get(name) is not None:
        return Sourced(flags[name], "flag")
    if name not in _FILE_ONLY:
        names = [f"PODIUM_{name.upper()}", *_SEEDS_NAMES.get(name, ())]
        for variable in names:
            if environment.get(variable):
                return Sourced(_from_text(name, environment[variable]), variable)
    if name in file:
        return Sourced(file[name], file_name)
    field = next(f for f in msgspec.structs.fields(Settings) if f.name == name)
    default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return Sourced(msgspec.to_builtins(default) if name in _BLOCKS else default, "default")


def _from_text(name: str, text: str) -> Any:
    if name in {"task_modules", "allow_shell", "egress_allow"}:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def run_settings(defaults: Mapping[str, Any]) -> RunSettings:
    """Return run settings from a `workflow:` block of podium.yaml (seed 002's keys).

    Raises `RequestError` PDM-R040 for an unknown key, PDM-R041 for a bad value.
    """
    for key in defaults:
        if key not in _RUN_KEYS:
            raise RequestError(
                f"The `workflow:` block has an unknown key {key!r}.",
                fix=did_you_mean(key, _RUN_KEYS),
                code="PDM-R040",
            )
    base = RunSettings()
    policy = base.retry
    delay_us = _duration_us(defaults, "retry_delay", policy.delay_initial_us)
    policy = RetryPolicy(
        max_retries=_count(defaults, "max_retries", policy.max_retries),
        delay_initial_us=delay_us,
        exponential=bool(defaults.get("exponential_backoff", policy.exponential)),
        delay_max_us=max(policy.delay_max_us, delay_us),
    )
    return msgspec.structs.replace(
        base,
        retry=policy,
        timeout_us=_duration_us(defaults, "timeout", 3600 * SECOND_US),
        max_parallel_steps=_count(defaults, "max_parallel_steps", 0) or None,
        circuit_breaker=defaults.get("circuit_breaker"),
    )


_RUN_KEYS: Final = (
    "timeout",
    "max_retries",
    "retry_delay",
    "exponential_backoff",
    "circuit_breaker",
    "max_parallel_steps",
)


def _duration_us(values: Mapping[str, Any], name: str, default: int) -> int:
    if values.get(name) is None:
        return default
    parsed = parse_duration(values[name])
    if parsed is None:
        raise _bad_value(name, values[name], 'seconds as a number, or text such as "90s"')
    return parsed


def _count(values: Mapping[str, Any], name: str, default: int) -> int:
    value = values.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _bad_value(name, value, "a whole number from 0")
    return value


def _bad_value(name: str, value: Any, expected: str) -> RequestError:
    return RequestError(
        f"`workflow: {name}` is {value!r}.",
        fix=f"Write {expected}.",
        code="PDM-R041",
    )
