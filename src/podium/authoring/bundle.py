"""An incident in one file: everything about a run that somebody far away needs to look at it.

Inputs, outputs and what people were shown are left out unless asked for; in their place stand
their size and hash, which tell whether two runs had the same. Known secrets are taken out of
every file, and values whose names say that they are secret.
"""

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from podium.authoring.client import App
from podium.authoring.doctor import Patient, examine
from podium.core.cloudevents import Translator, rfc3339
from podium.core.ids import approval_id, run_id
from podium.errors import PodiumError
from podium.ports.store import ApprovalStatus, RunFilter
from podium.runtime.explain import explain_run
from podium.runtime.views import RunView, view_run
from podium.settings import Settings

__all__ = ["make_bundle"]

LINES_MAX: Final = 100_000
"""Events, and lines of the log, that go into the file; the last ones are left out."""
PAGE: Final = 1000
SECRET_NAME: Final = re.compile(
    r"(^|[_-])(api_?key|authorization|credentials?|password|passwd|secret|token)s?$", re.IGNORECASE
)
HIDDEN: Final = "[hidden]"
KEPT_VARIABLES: Final = ("PODIUM_", "DATABASE_URL", "ORCHESTRATION_", "PYTHON", "TZ", "LANG")

README: Final = """\
An incident bundle of podium.

run.json          the run with its steps, errors and costs
explain.json      why it is where it is
events.jsonl      what happened, in order
logs.jsonl        what its attempts printed and logged
definition.json   the workflow, in the version of this run
approvals.json    who was asked, and what they said
billed.json       requests that providers of models billed
relatives.json    child runs
doctor.json       the examination of the installation
settings.json     settings with their sources, secrets hidden
environment.json  versions and machine
manifest.json     when and by what this was made, and the hash of each file

{payloads}
Look through it before you pass it on: what a task prints or raises is kept as it is.
"""


async def make_bundle(
    app: App,
    run: str,
    *,
    settings: Settings,
    shown_settings: Any,
    with_payloads: bool = False,
) -> bytes:
    """Return a zip archive about a run; raises `NotFoundError`.

    `shown_settings` is what may be shown of the settings. A part that cannot be had is replaced
    by the error that kept it away: a bundle is made when things are broken.
    """
    handle = app.run(run)
    row = await handle.row()
    secrets = app.engine.registry.services.secrets
    files: dict[str, bytes] = {}
    patient = Patient(app, settings, os.environ)
    parts = {
        "run.json": _run(app, row.run_no, with_payloads=with_payloads),
        "explain.json": explain_run(app.engine, row.run_no),
        "events.jsonl": _events(app, row.run_no),
        "logs.jsonl": _logs(app, run),
        "definition.json": _definition(app, row.def_hash),
        "approvals.json": _approvals(app, row.run_no),
        "billed.json": app.engine.store.ledger(row.run_no, limit=LINES_MAX),
        "relatives.json": _relatives(app, row.run_no),
        "doctor.json": examine(patient),
    }
    for name, part in parts.items():
        try:
            value: Any = await part
        except PodiumError as error:
            value = {"error": {"code": error.code, "detail": error.what, "why": error.why}}
        files[name] = _encoded(name, value)
    files["settings.json"] = _encoded("settings.json", shown_settings)
    files["environment.json"] = _encoded("environment.json", _environment(os.environ))
    payloads = "Inputs and outputs are included." if with_payloads else "Payloads are left out."
    files["README.txt"] = README.format(payloads=payloads).encode()
    cleared = {n: secrets.redact(body.decode("utf-8")).encode() for n, body in files.items()}
    cleared["manifest.json"] = _encoded("manifest.json", _manifest(run, cleared, app))
    return _zipped(run, cleared)


def _encoded(name: str, value: Any) -> bytes:
    plain = hide_secrets(msgspec.to_builtins(value, enc_hook=str, builtin_types=()))
    if name.endswith(".jsonl"):
        return b"".join(json.dumps(each).encode() + b"\n" for each in plain)
    return json.dumps(plain, indent=2, ensure_ascii=False).encode() + b"\n"


def hide_secrets(value: Any) -> Any:
    """Return JSON data with the values hidden whose names say that they are secret.

    >>> hide_secrets({"api_key": "x", "items": [{"password": 1, "tokens": 7}]})
    {'api_key': '[hidden]', 'items': [{'password': '[hidden]', 'tokens': 7}]}
    """
    if isinstance(value, dict):
        return {
            key: HIDDEN if _is_secret(key, inner) else hide_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [hide_secrets(inner) for inner in value]
    return value


def _is_secret(name: Any, value: Any) -> bool:
    # Numbers under `tokens` are counts, and `${NAME}` names a secret without telling it.
    is_count = isinstance(value, int) and str(name).lower().endswith("tokens")
    is_reference = isinstance(value, str) and re.fullmatch(r"\$\{\w+\}", value)
    return bool(SECRET_NAME.search(str(name))) and not is_count and not is_reference


async def _run(app: App, run_no: int, *, with_payloads: bool) -> dict[str, Any]:
    view: RunView = await view_run(app.engine, run_no)
    document: dict[str, Any] = msgspec.to_builtins(view, enc_hook=str)
    if not with_payloads:
        for part in (document, *document["steps"]):
            for name in ("input", "output"):
                if part.get(name) is not None:
                    part[name] = _stand_in(part[name])
    return document


def _stand_in(value: Any) -> dict[str, Any]:
    body = json.dumps(value, sort_keys=True, default=str).encode()
    return {"left_out": True, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


async def _events(app: App, run_no: int) -> list[Any]:
    row = await app.run(run_id(run_no)).row()
    plan = await app.engine.registry.plan(row.def_hash)
    translator = Translator(run_no, is_code=plan.is_code)
    found: list[Any] = []
    while len(found) < LINES_MAX:
        page = await app.engine.store.events(run_no, after=translator.seq, limit=PAGE)
        for record in page:
            found += translator.take_body(record.first_seq, record.body)
        if len(page) < PAGE:
            break
    return found[:LINES_MAX]


async def _logs(app: App, run: str) -> list[Any]:
    found: list[Any] = []
    async for page in _log_pages(app, run):
        found += page
        if len(found) >= LINES_MAX:
            break
    return found[:LINES_MAX]


async def _log_pages(app: App, run: str) -> AsyncGenerator[Sequence[Any]]:
    after = 0
    while page := await app.logs.of(run, after=after, limit=PAGE):
        after = page[-1].number
        yield page


async def _definition(app: App, def_hash: str) -> Any:
    found = await app.engine.store.definition_by_hash(def_hash)
    if found is None:
        return {"def_hash": def_hash, "error": "It is not in the store."}
    return {
        "name": found.name,
        "number": found.number,
        "label": found.label,
        "def_hash": found.def_hash,
        "workflow": msgspec.json.decode(found.body),
    }


async def _approvals(app: App, run_no: int) -> list[dict[str, Any]]:
    rows = await app.engine.store.approvals(pending=False, run_no=run_no, limit=PAGE)
    return [
        {
            "approval_id": approval_id(row.approval_no),
            "step": row.path,
            "prompt": row.prompt,
            "payload_hash": row.payload_hash,
            "status": ApprovalStatus(row.status).label,
            "created_at": rfc3339(row.created_us),
            "decided_by": row.decided_by,
            "comment": row.comment,
        }
        for row in rows
    ]


async def _relatives(app: App, run_no: int) -> list[dict[str, Any]]:
    rows = await app.engine.store.runs(RunFilter(parent_run=run_no), limit=PAGE)
    return [
        {"run_id": run_id(row.run_no), "workflow": row.workflow, "status": row.status}
        for row in rows
    ]


def _environment(variables: Mapping[str, str]) -> dict[str, Any]:
    # Names tell what is set; values may be anything.
    names = [name for name in sorted(variables) if name.startswith(KEPT_VARIABLES)]
    return {
        "python": sys.version,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "variables_set": names,
    }


def _manifest(run: str, files: Mapping[str, bytes], app: App) -> dict[str, Any]:
    return {
        "format": 1,
        "run_id": run,
        "made_at": rfc3339(app.engine.store.now_us()),
        "podium": importlib.metadata.version("podium"),
        "files": {name: hashlib.sha256(body).hexdigest() for name, body in sorted(files.items())},
    }


def _zipped(run: str, files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in _in_order(files.items()):
            archive.writestr(f"{run}/{name}", body)
    return buffer.getvalue()


def _in_order(files: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return sorted(files, key=lambda each: (each[0] != "README.txt", each[0]))
