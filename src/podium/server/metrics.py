"""What Prometheus reads: the figures of this process, under the names that dashboards know.

Gauges are read off the engine and the store when somebody asks; counters come from the
`Telemetry` that watches the engine, and from the requests that pass the `Meter`. The names of
tasks (`task_queue_depth`, `tasks_completed_total{status="success"}`, `task_duration_seconds`,
`orchestration_step_queue_seconds`) are a contract.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from podium import __version__
from podium.authoring.client import App
from podium.core.breaker import BreakerState
from podium.core.charges import NANO
from podium.core.states import RunStatus
from podium.errors import StoreError
from podium.ports.operation import OpenCount
from podium.runtime.telemetry import OTHER, Histogram, Telemetry

__all__ = ["Meter", "Metrics"]

BREAKER_STATES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
ROUTES_MAX: Final = 500
K = TypeVar("K", bound=tuple[str, ...])


class Meter:
    """Counts requests and their times, by route; stands around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """By method, route and status."""
        self.seconds: dict[tuple[str, str], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count its answer when that begins; streams may last for hours."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered({**scope}, message["status"], time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, tell)

    def _answered(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        # What matched no route is counted as one: paths are the caller's to invent.
        route = str(scope.get("path_template") or "unmatched")
        method = str(scope["method"])
        if len(self.seconds) >= ROUTES_MAX and (method, route) not in self.seconds:
            route = OTHER
        self.requests[method, route, str(status)] += 1
        self.seconds.setdefault((method, route), Histogram()).observe(seconds)


class Metrics:
    """The figures of one process; `meter` is None where nobody counts requests."""

    def __init__(self, app: App, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self.meter: Meter | None = None
        registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._process = registry

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all figures as text, in the format `accept` asks for, and its media type.

        Without a store there are fewer of them: that is when they are needed most.
        """
        encode, media_type = choose_encoder(accept)
        try:
            counts = await self._app.engine.store.open_counts()
        except StoreError:
            counts = None
        return encode(_Collected([*self._families(counts), *self._process.collect()])), media_type

    def _families(self, counts: Sequence[OpenCount] | None) -> Iterator[Metric]:
        yield _gauge("podium_store_up", "1 if the store answers.", [], {(): counts is not None})
        yield from self._tasks()
        yield from self._runs(counts or ())
        yield from self._money()
        yield from self._node()
        yield from self._store()
        if self.meter is not None:
            yield from _requests(self.meter)

    def _tasks(self) -> Iterator[Metric]:
        told = self._telemetry
        queued = told.queued(self._app.engine.queued_steps())
        yield _gauge(
            "task_queue_depth",
            "Steps that are ready and wait for room in this process.",
            ["workflow_type"],
            {(name,): count for name, count in queued.items()},
        )
        yield _counter(
            "tasks_completed",
            "Tasks that ended, by result.",
            ["status"],
            # A rate over a series that does not exist yet misses its first failure.
            {(name,): told.tasks[name] for name in {"success", "failed", *told.tasks}},
        )
        yield _counter(
            "task_attempts",
            "Attempts that ended without ending their task, by outcome.",
            ["outcome"],
            {(name,): count for name, count in told.attempts.items()},
        )
        yield _counter(
            "task_errors",
            "Tasks that failed, by error code.",
            ["code"],
            {(name,): count for name, count in told.errors.items()},
        )
        yield _histogram(
            "task_duration_seconds",
            "From the start of a task to its end, retries included.",
            [],
            {(): told.task_seconds},
        )
        yield _histogram(
            "orchestration_step_queue_seconds",
            "From the moment a step was opened to its start.",
            [],
            {(): told.queue_seconds},
        )

    def _runs(self, counts: Sequence[OpenCount]) -> Iterator[Metric]:
        told = self._telemetry
        found: Counter[tuple[str, str]] = Counter()
        for each in counts:
            found[each.workflow, RunStatus(each.status).label] += each.count
        yield _gauge(
            "orchestration_open_runs",
            "Open runs in the store: the same figure in every process, so take the maximum.",
            ["workflow_type", "status"],
            found,
        )
        yield _counter(
            "orchestration_runs_started",
            "Runs that this process started.",
            ["workflow_type"],
            {(name,): count for name, count in told.started.items()},
        )
        yield _counter(
            "orchestration_runs_completed",
            "Runs that ended in this process, by status.",
            ["workflow_type", "status"],
            told.ended,
        )
        yield _histogram(
            "orchestration_run_duration_seconds",
            "From the creation of a run to its end.",
            ["workflow_type"],
            {(name,): each for name, each in told.run_seconds.items()},
        )
        yield _counter(
            "orchestration_sla",
            "Runs that ended within their time limit and deadline (met), or not (missed).",
            ["workflow_type", "result"],
            told.late,
        )

    def _money(self) -> Iterator[Metric]:
        told = self._telemetry
        yield _counter(
            "workflow_cost_usd",
            "What runs were billed by providers of models, in dollars.",
            ["workflow_type", "model"],
            {names: nano / NANO for names, nano in told.cost_nano.items()},
        )
        yield _counter("llm_requests", "Billed requests.", ["provider", "model"], told.calls)
        yield _counter("llm_tokens", "Billed tokens.", ["model", "class"], told.tokens)
        models = self._app.engine.registry.services.models
        breakers = {} if models is None else models.breakers()
        yield _gauge(
            "circuit_breaker_state",
            "0 closed, 1 half open, 2 open.",
            ["name"],
            {(name,): BREAKER_STATES[each.state] for name, each in breakers.items()},
        )

    def _node(self) -> Iterator[Metric]:
        engine = self._app.engine
        capacity = engine.options.capacity
        running = max(0, capacity - engine.free_places) if capacity else 0
        agent = f"node-{engine.node.node_id}" if engine.node is not None else "node"
        labels = ["agent_id"]
        told = (
            ("agent_capacity", "Attempts this process may run at once.", capacity),
            ("agent_running", "Attempts that run now.", running),
            ("agent_utilization", "Running attempts per place, 0 to 1.", running / (capacity or 1)),
            ("agent_resident_runs", "Runs that live in memory.", engine.residents),
        )
        for name, text, value in told:
            yield _gauge(name, text, labels, {(agent,): value})
        yield _gauge("podium_build_info", "Always 1.", ["version"], {(__version__,): 1})

    def _store(self) -> Iterator[Metric]:
        stats = self._app.engine.store.stats
        for name, text, value in (
            ("commits", "Transactions that were committed.", stats.commits),
            ("flushes", "Times the log was forced to disk.", stats.flushes),
            ("rows", "Rows that were written.", stats.rows),
            ("reads", "Calls that read.", stats.reads),
            ("busy", "Times another process was in the way.", stats.busy),
        ):
            yield _counter(f"podium_store_{name}", text, [], {(): value})


class _Collected(Collector):
    """Families that were collected before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families


def _requests(meter: Meter) -> Iterator[Metric]:
    names = ["method", "route", "status"]
    yield _counter("http_requests", "Requests that were answered.", names, meter.requests)
    yield _histogram(
        "http_request_duration_seconds",
        "From a request to the first byte of its answer.",
        ["method", "route"],
        meter.seconds,
    )


def _counter(name: str, text: str, names: Sequence[str], values: Mapping[K, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=names)
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family


def _gauge(name: str, text: str, names: Sequence[str], values: Mapping[K, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=names)
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family


def _histogram(name: str, text: str, names: Sequence[str], values: Mapping[K, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=names)
    for labels, each in values.items():
        family.add_metric(list(labels), buckets=each.cumulative(), sum_value=each.total)
    return family
