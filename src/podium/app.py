"""The composition root: the only module that names adapters and puts the parts together."""

import gc
import os
import random
import re
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from podium.adapters.archive import FolderArchive
from podium.adapters.blobs.directory import DirectoryBlobs
from podium.adapters.egress import HttpEgress
from podium.adapters.expressions.cel import CelExpressions
from podium.adapters.sqlite.store import SqliteStore
from podium.authoring.agents import remember_agents, shared_agents
from podium.authoring.client import App
from podium.authoring.decorators import known_workflows
from podium.authoring.files import WorkflowFile, read_definition, use_folder
from podium.authoring.project import project_settings
from podium.core.agents import AGENT_WORKFLOW
from podium.core.budget_values import rule_of
from podium.core.budgets import Budget
from podium.core.definition import Workflow
from podium.core.states import RunStatus
from podium.errors import RequestError
from podium.ports.models import ModelWire
from podium.ports.store import NodeRow, Store
from podium.runtime.engine import Chore, Engine
from podium.runtime.logbook import Logbook
from podium.runtime.options import EngineOptions
from podium.runtime.payloads import Payloads
from podium.runtime.registry import Registry
from podium.runtime.resources import watch_memory
from podium.runtime.retention import Policy, Retention
from podium.runtime.secrets import Secrets
from podium.runtime.services import LazyModels, Services
from podium.settings import (
    BUILT_IN_PROVIDERS,
    BudgetSettings,
    LlmSettings,
    RetentionSettings,
    Settings,
)

if TYPE_CHECKING:
    from podium.agents.forecast import Forecast
    from podium.gateway.gateway import Gateway

__all__ = [
    "build_engine",
    "build_gateway",
    "build_retention",
    "connect",
    "connect_alone",
    "connect_desk",
    "connect_recovery",
    "connect_server",
    "examine_store",
    "expressions",
    "open_reader",
    "open_store",
    "retention_policy",
    "sqlite_path",
    "tune_process",
]


_FOR_EVER_S: Final = 1e9

TOOLS: Final = {
    "shell": "podium.adapters.tools.shell:run_shell",
    "http": "podium.adapters.tools.http:run_http",
    "llm": "podium.agents.calls:run_llm",
    "agent": "podium.agents.rules:answer_by_rules",
}
AGENT_TOOLS: Final = {
    "read_file": "podium.adapters.tools.read_file:read_file",
    "grep": "podium.adapters.tools.grep:grep",
    "http_get": "podium.adapters.tools.http_get:http_get",
}
"""The tools that agents may list by name."""


def sqlite_path(url: str) -> Path:
    """Return the file of a `sqlite:///path` URL (three slashes: relative, four: absolute).

    Raises `RequestError` PDM-R042 for any other URL.
    """
    prefix = "sqlite:///"
    if not url.startswith(prefix) or len(url) == len(prefix):
        raise RequestError(
            f"The store {url!r} is not supported.",
            why="This version keeps runs in a SQLite file.",
            fix="Use sqlite:///path/to/podium.db (four slashes for an absolute path).",
            code="PDM-R042",
        )
    return Path(url.removeprefix(prefix))


def tune_process() -> None:
    """Tune the garbage collector of a process that is ours (never of one we are embedded in).

    An engine makes many short-lived objects without cycles; at the default threshold looking
    for cycles among them takes a fifth of the time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def open_store(url: str) -> Store:
    """Return the store of a URL; it is opened by its first user."""
    return SqliteStore(sqlite_path(url))


def expressions() -> CelExpressions:
    """Return the expression engine."""
    return CelExpressions()


class _OwnRunsOnly(SqliteStore):
    """A store whose engine takes no run that it was not asked to take."""

    async def adopt(
        self, node: NodeRow, *, limit: int, run_nos: Sequence[int] = ()
    ) -> Sequence[int]:
        """See `Store.adopt`; without `run_nos`, nothing is taken."""
        if not run_nos:
            return ()
        return await super().adopt(node, limit=limit, run_nos=run_nos)

    async def next_wake_us(self) -> int | None:
        """See `Store.next_wake_us`; the runs of others are woken by others."""
        return None


def build_engine(
    settings: Settings,
    *,
    role: str = "all",
    store_type: type[SqliteStore] = SqliteStore,
    schedules: bool = True,
    served: bool = False,
) -> Engine:
    """Return an engine on the store of `settings`, ready to run.

    `served`: definitions may come from anybody, so their requests are guarded, and the process
    looks after the store and its own memory.
    """
    path = sqlite_path(settings.database_url)
    store = store_type(path)
    payloads = Payloads(DirectoryBlobs(path.with_name(path.name + ".blobs")))
    registry = Registry(
        store=store,
        payloads=payloads,
        expressions=expressions(),
        tools=TOOLS,
        organization=settings.organization,
        local=_local_workflow,
        services=_services(settings, served=served),
    )
    if settings.agents:
        remember_agents(shared_agents(settings.agents, folder=Path.cwd()))
    options = EngineOptions(
        capacity=settings.capacity,
        evict_after_us=int(settings.evict_after * 1_000_000),
        role=role,
        budgets=_rules(settings.budgets),
        schedules=schedules and role in DRIVING,
    )
    return Engine(
        store=store,
        payloads=payloads,
        registry=registry,
        dice=random.random,
        boot_id=uuid.uuid4().hex,
        options=options,
        chores=_chores(settings, store) if served else {},
    )


DRIVING: Final = frozenset({"all", "engine"})
"""Roles whose processes take any work: runs, and the ticks of schedules."""


def _chores(settings: Settings, store: Store) -> dict[str, Chore]:
    """Return what a server does beside its work."""
    chores: dict[str, Chore] = {"memory": watch_memory}
    if retention_policy(settings.retention):
        chores["retention"] = build_retention(settings, store).run
    return chores


def retention_policy(settings: RetentionSettings) -> Policy:
    """Return how long things are kept."""
    ages = {
        RunStatus.COMPLETED: settings.completed or settings.runs,
        RunStatus.FAILED: settings.failed or settings.runs,
        RunStatus.CANCELLED: settings.cancelled or settings.runs,
        RunStatus.ABORTED: settings.aborted or settings.runs,
    }
    return Policy(
        runs_us={status: int(age * 1e6) for status, age in ages.items() if age is not None},
        logs_us=None if settings.logs is None else int(settings.logs * 1e6),
    )


def build_retention(settings: Settings, store: Store) -> Retention:
    """Return what forgets old runs and logs of `store` as the settings say."""
    folder = settings.retention.archive
    archive = FolderArchive(Path(folder)) if folder else None
    return Retention(store, retention_policy(settings.retention), archive)


def _services(settings: Settings, *, served: bool) -> Services:
    llm, secrets = settings.llm, Secrets(_secrets(settings.llm))
    return Services(
        egress=HttpEgress(settings.egress_allow),
        is_guarded=served,
        progress_url=settings.progress_webhook_url,
        models=LazyModels(lambda: build_gateway(llm)) if _is_configured(llm) else None,
        default_model=default_model(llm),
        tools=AGENT_TOOLS,
        secrets=secrets,
        logbook=Logbook(secrets) if settings.capture_logs else None,
    )


def forecast_costs(workflow: Workflow, settings: Settings) -> "list[Forecast]":
    """Return what the models that a definition asks may cost; nothing is sent or imported."""
    # Imported here: only a plan needs it.
    from podium.agents.forecast import forecast  # noqa: PLC0415

    llm = settings.llm
    estimate = build_gateway(llm).estimate if _is_configured(llm) else None
    return forecast(workflow, estimate=estimate, default_model=default_model(llm))


def default_model(llm: LlmSettings) -> str:
    """Return the alias that agents without a model ask; empty: there is none."""
    only = next(iter(llm.models)) if len(llm.models) == 1 else ""
    return llm.default or only


def _is_configured(llm: LlmSettings) -> bool:
    """Return whether any model can be asked: one is declared, or a key lies ready."""
    ready = any(not each.missing(os.environ) for each in BUILT_IN_PROVIDERS.values())
    return bool(llm.models or llm.providers) or ready


SECRET_VARIABLE: Final = re.compile(r"(?:^|_)(?:API_?KEY|KEY|PASSWORD|PASSWD|SECRET|TOKEN)$")
SECRET_LENGTH_MIN: Final = 12
"""Of what is a secret by the name of its variable alone: shorter values may be plain words."""


def _secrets(llm: LlmSettings) -> Iterator[str]:
    """Yield the secrets of all providers, and what the environment calls a secret."""
    for name, value in os.environ.items():
        is_word = len(value) < SECRET_LENGTH_MIN or value.startswith("/") or " " in value
        if SECRET_VARIABLE.search(name.upper()) and not is_word:
            yield value
    for provider in {**BUILT_IN_PROVIDERS, **llm.providers}.values():
        for secret in (provider.key, *provider.headers.values()):
            with suppress(RequestError):
                yield secret.reveal(os.environ, setting="llm")
            yield from (os.environ.get(name, "") for name in secret.variables)


def build_gateway(
    llm: LlmSettings, *, around: Callable[[ModelWire], ModelWire] = lambda wire: wire
) -> "Gateway":
    """Return the way to the models of `llm`; `around` may put something around each wire."""
    # Imported here: the first call of a model pays for it, and most runs have none.
    from podium.adapters.models import open_wire  # noqa: PLC0415
    from podium.gateway.catalog import catalog_of  # noqa: PLC0415
    from podium.gateway.gateway import Gateway  # noqa: PLC0415
    from podium.gateway.limits import Limiter, Limits  # noqa: PLC0415
    from podium.gateway.prices import PriceTable  # noqa: PLC0415
    from podium.gateway.tokens import TokenCounter  # noqa: PLC0415

    catalog = catalog_of(llm)
    limits: dict[str, Limits] = {}
    for alias, model in llm.models.items():
        key = catalog.model(alias).key
        said = Limits(rpm=model.rpm, tpm=model.tpm, concurrency=model.concurrency)
        limits[key] = limits.get(key, said).tightened(said)
    vocabularies = {
        model.model or alias: model.tokenizer
        for alias, model in llm.models.items()
        if model.tokenizer
    }
    return Gateway(
        catalog=catalog,
        wires=lambda provider: around(open_wire(provider, environment=os.environ)),
        limiter=Limiter(limits, queue_max=llm.queue),
        counter=TokenCounter(vocabularies),
        prices=PriceTable(llm),
        clock_us=lambda: time.monotonic_ns() // 1000,
        dice=random.random,
    )


def _rules(blocks: Sequence[BudgetSettings]) -> tuple[Budget, ...]:
    return tuple(
        rule_of(
            block.scope,
            block.name,
            per=block.per,
            limits={
                "usd": block.limit_usd,
                "tokens": block.limit_tokens,
                "calls": block.limit_calls,
                "time": None if block.limit_s is None else float(block.limit_s),
            },
            on_limit=block.on_limit,
        )
        for block in blocks
    )


def _local_workflow(name: str) -> Workflow | None:
    if name == AGENT_WORKFLOW:
        # Imported here: most runs have no agents.
        import_module("podium.agents.loop")
    found = known_workflows().get(name)
    return None if found is None else found.definition


def load(path: str | Path) -> WorkflowFile:
    """Return the workflow that a YAML or JSON file defines, with the defaults of its project.

    The code beside the file becomes importable, as for `podium run`. Raises `DefinitionError`
    with all faults, or `NotFoundError`.
    """
    file = Path(path)
    settings, _ = project_settings(flags={}, environment=os.environ, folder=file.resolve().parent)
    found = read_definition(file, settings, expressions=expressions())
    use_folder(found.folder)
    return found


def connect(url: str | None = None, *, settings: Settings | None = None) -> App:
    """Return an `App` on a store, to be used as an async context manager.

    Without `settings`, those of the project: environment, `podium.yaml` in the working
    directory, defaults, as for the command line. `url` names another store.
    """
    chosen = settings
    if chosen is None:
        chosen, _ = project_settings(flags={}, environment=os.environ, folder=Path.cwd())
    if url is not None:
        chosen = replace(chosen, database_url=url)
    return App(build_engine(chosen), organization=chosen.organization)


def connect_recovery(settings: Settings) -> App:
    """Return an `App` that continues every run and takes no ticks: there is an end to it."""
    return App(build_engine(settings, schedules=False), organization=settings.organization)


def connect_alone(settings: Settings) -> App:
    """Return an `App` that drives the runs it starts or adopts by name, and no others.

    Its runs stay in memory while they wait: nobody else is asked to wake them.
    """
    return App(
        build_engine(
            replace(settings, evict_after=_FOR_EVER_S), role="run", store_type=_OwnRunsOnly
        ),
        organization=settings.organization,
    )


class _NobodysHome(SqliteStore):
    """A store whose engine takes no run at all: it starts runs for others, and posts mail."""

    async def adopt(
        self, node: NodeRow, *, limit: int, run_nos: Sequence[int] = ()
    ) -> Sequence[int]:
        """See `Store.adopt`; nothing is ever taken."""
        return ()

    async def next_wake_us(self) -> int | None:
        """See `Store.next_wake_us`; the runs of others are woken by others."""
        return None


def connect_server(settings: Settings, *, role: str) -> App:
    """Return the `App` of a server: `all` and `engine` run steps, `api` leaves that to others."""
    if role != "api":
        engine = build_engine(settings, role=role, served=True)
        return App(engine, organization=settings.organization)
    engine = build_engine(replace(settings, capacity=0), role=role, store_type=_NobodysHome)
    return App(engine, organization=settings.organization)


def connect_desk(settings: Settings) -> App:
    """Return an `App` that decides and runs nothing: for verbs on runs that have no engine."""
    return App(
        build_engine(replace(settings, capacity=0), role="desk", store_type=_OwnRunsOnly),
        organization=settings.organization,
    )


@asynccontextmanager
async def open_reader(settings: Settings) -> AsyncGenerator[App]:
    """Open the store only: no node is registered, no run is taken; verbs wait for others."""
    engine = build_engine(settings, role="reader")
    await engine.store.open()
    try:
        yield App(engine, organization=settings.organization)
    finally:
        await engine.store.close()


def examine_store(url: str) -> dict[str, Any]:
    """Return facts about the file of a store, for an operator; see `examine`."""
    # Imported here: only a check-up needs it.
    from podium.adapters.sqlite.health import examine  # noqa: PLC0415

    return examine(sqlite_path(url))
