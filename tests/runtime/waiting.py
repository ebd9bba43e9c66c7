"""Definitions from text, and waiting for what a run does, commit by commit."""

import asyncio
from collections import Counter
from collections.abc import Callable
from textwrap import dedent
from typing import Any

import bodies

from podium import App, RunHandle
from podium.adapters.expressions.cel import CelExpressions
from podium.authoring.documents import load_workflow
from podium.core.definition import Workflow
from podium.runtime.views import RunView

EXPRESSIONS = CelExpressions()


def dag(text: str) -> Workflow:
    """Return the workflow of a YAML text; `fn` in `uses` is a function of `bodies`."""
    text = dedent(text).replace("uses: fn:", "uses: python:bodies:")
    if text.lstrip().startswith(("-", "[")):
        text = "tasks: " + text
    return load_workflow(text, source="w.yaml", expressions=EXPRESSIONS).workflow


async def run(app: App, text: str, **options: Any) -> Any:
    """Run a YAML text to its end and return its output."""
    return await (await app.start(dag(text), **options)).result()


async def seen(handle: RunHandle, wanted: Callable[[RunView], bool]) -> RunView:
    """Wait until the run looks like this, looking after each commit."""
    engine = handle._app.engine
    changed = asyncio.Event()
    stop = engine.listen(handle.run_no, lambda *_: changed.set())
    try:
        while not wanted(view := await handle.view()):
            await changed.wait()
            changed.clear()
        return view
    finally:
        stop()


async def status(handle: RunHandle, wanted: str) -> RunView:
    """Wait until the run has this status."""
    return await seen(handle, lambda view: view.status == wanted)


async def at(handle: RunHandle, path: str, wanted: str) -> RunView:
    """Wait until the step at `path` has this status."""
    return await seen(handle, lambda view: steps(view).get(path) == wanted)


def steps(view: RunView) -> dict[str, str]:
    """Return status by path."""
    return {step.path: step.status for step in view.steps}


async def look(handle: RunHandle) -> dict[str, str]:
    """Return status by path, as things stand."""
    return steps(await handle.view())


async def called(*wanted: Any) -> None:
    """Wait until bodies were called with all of `wanted`, as often as it is there."""
    while Counter(wanted) - Counter(map(str, bodies.calls)):
        await moment()


def slow_down(store: Any, *names: str, turns: Callable[[], int] = lambda: 3) -> None:
    """Let these reads take some turns of the loop, as they do on a disk."""

    def slow(work: Callable[..., Any]) -> Callable[..., Any]:
        async def wait(*values: Any, **options: Any) -> Any:
            result = await work(*values, **options)
            for _ in range(turns()):
                await asyncio.sleep(0)
            return result

        return wait

    for name in names:
        setattr(store, name, slow(getattr(store, name)))


async def moment() -> None:
    """Let a little time of the loop pass, before looking again."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.002)
