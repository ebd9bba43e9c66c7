"""What leads in and out: keys, schedules, webhooks, agents, models."""

import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from podium.authoring.doctor.findings import Check, Patient, some
from podium.core.definition import Workflow
from podium.errors import RequestError
from podium.settings import BUILT_IN_PROVIDERS

__all__ = [
    "agents",
    "clock",
    "deliveries",
    "key_expiry",
    "keys",
    "models",
    "progress_url",
    "schedule_faults",
    "scheduler",
]

_WORKFLOW: Final = msgspec.json.Decoder(Workflow)
DAY_US: Final = 86_400_000_000
SOON_US: Final = 7 * DAY_US
OVERDUE_US: Final = 60_000_000
PAGE: Final = 1000


async def keys(patient: Patient) -> Check:
    """Count the keys that open something."""
    now_us = patient.now_us
    rows = await patient.app.engine.store.keys(limit=PAGE)
    if not rows:
        detail = "no key exists: a server trusts this machine and listens to nobody else"
        return Check("keys", "ok", detail)
    live = [
        row
        for row in rows
        if row.revoked_us is None and (row.expires_us is None or row.expires_us > now_us)
    ]
    if not any(row.role == "admin" for row in live):
        fix = "podium keys create --role admin"
        return Check("keys", "warn", "no key of an administrator opens anything any more", fix)
    return Check("keys", "ok", f"{len(live)} of {len(rows)} keys open something")


async def key_expiry(patient: Patient) -> Check:
    """Find keys that expire soon: their users will read 401 `expired_key`."""
    now_us = patient.now_us
    rows = await patient.app.engine.store.keys(limit=PAGE)
    soon = [
        row
        for row in rows
        if row.revoked_us is None
        and row.expires_us is not None
        and now_us < row.expires_us < now_us + SOON_US
    ]
    if soon:
        names = some(f"{row.name or row.key_id}" for row in soon)
        fix = "podium keys rotate KEY gives a successor; both work for a while."
        return Check("key expiry", "warn", f"within a week: {names}", fix)
    return Check("key expiry", "ok", "none within a week")


async def scheduler(patient: Patient) -> Check:
    """Look whether due ticks are taken."""
    now_us = patient.now_us
    counts = await patient.app.engine.store.schedule_counts(now_us)
    detail = f"{counts.active} active, {counts.paused} paused"
    overdue_us = now_us - (counts.overdue_since_us or now_us)
    if overdue_us > OVERDUE_US:
        detail += f"; the oldest due tick waits for {overdue_us / 1e6:.0f} s"
        fix = "Start an engine: podium serve. It catches up as each schedule says."
        return Check("scheduler", "fail", detail, fix)
    return Check("scheduler", "ok", detail)


async def schedule_faults(patient: Patient) -> Check:
    """Find schedules whose last ticks could not start a run."""
    rows = await patient.app.engine.store.schedules(limit=PAGE)
    failing = [row for row in rows if row.failures]
    if failing:
        first = failing[0]
        names = some(row.name for row in failing)
        fix = f"podium schedules show {first.name}"
        return Check("schedules", "warn", f"{names}: {first.error}", fix)
    return Check("schedules", "ok", f"{len(rows)} without a fault")


async def clock(patient: Patient) -> Check:
    """Tell the store's time and the machine's zone, which schedules do not follow."""
    zone = time.tzname[time.localtime().tm_isdst > 0]
    at = datetime.fromtimestamp(patient.now_us / 1e6, UTC)
    rows = await patient.app.engine.store.schedules(limit=PAGE)
    zones = sorted({row.schedule.timetable.timezone for row in rows} - {"UTC", zone})
    detail = f"{at:%Y-%m-%d %H:%M:%S} UTC; the machine's zone is {zone}"
    if zones:
        detail += f", schedules keep their own: {some(zones)}"
    return Check("time zones", "ok", detail)


async def progress_url(patient: Patient) -> Check:
    """Look at the address that hears of the progress of every run."""
    name = "ORCHESTRATION_PROGRESS_WEBHOOK_URL"
    url = patient.settings.progress_webhook_url
    if not url:
        return Check("progress webhook", "ok", f"{name} is not set")
    if not url.startswith(("http://", "https://")):
        fix = "Write a URL that begins with https://."
        return Check("progress webhook", "fail", f"{name} is no URL of a web server", fix)
    return Check("progress webhook", "ok", f"{name} is set")


async def deliveries(patient: Patient) -> Check:
    """Find webhooks that are off, and deliveries that were given up."""
    store = patient.app.engine.store
    rows = await store.webhooks()
    off = [row for row in rows if not row.is_active]
    dead = [row for row in rows if await store.deliveries(row.webhook_id, status="dead", limit=1)]
    if off:
        names = some(row.description or row.webhook_id for row in off)
        fix = "Mend the receiver, then: podium webhooks list"
        return Check("webhooks", "warn", f"switched off: {names} ({off[0].reason})", fix)
    if dead:
        names = some(row.description or row.webhook_id for row in dead)
        fix = "podium webhooks replay WEBHOOK sends them again."
        return Check("webhooks", "warn", f"deliveries were given up: {names}", fix)
    return Check("webhooks", "ok", f"{len(rows)} registered, nothing given up")


async def models(patient: Patient) -> Check:
    """Look whether the providers that are declared have their keys."""
    llm = patient.settings.llm
    missing: list[str] = []
    for name, provider in llm.providers.items():
        try:
            provider.key.reveal(patient.environment, setting=f"llm.providers.{name}")
        except RequestError:
            missing.append(name)
    if missing:
        fix = "Set the variables that `podium config show` names."
        return Check("models", "fail", f"no key for {some(missing)}", fix)
    ready = [n for n, each in BUILT_IN_PROVIDERS.items() if not each.missing(patient.environment)]
    if not llm.models and not llm.providers and not ready:
        return Check("models", "ok", "none configured: agents answer by their rules")
    return Check("models", "ok", f"{len(llm.models)} declared; keys are there")


async def agents(patient: Patient) -> Check:
    """Find agents of active workflows that nobody can speak for: no model, and no fallback."""
    services = patient.app.engine.registry.services
    rows = await patient.definitions()
    lost: list[str] = []
    count = 0
    for row in rows:
        declared = _WORKFLOW.decode(row.body).agents or {}
        count += len(declared)
        lost += [
            f"{name} of {row.name}"
            for name, agent in declared.items()
            if not agent.fallback and not services.has_model(agent)
        ]
    if lost:
        fix = "Declare a model in podium.yaml, or give the agent a `fallback`."
        return Check("agents", "fail", f"no model and no fallback: {some(lost)}", fix)
    return Check("agents", "ok", f"{count} declared by active workflows; each can answer")
