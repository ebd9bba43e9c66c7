"""A model for the review that says what a test wants, over real HTTP, and a run that asks it."""

import asyncio
import json
import re
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

import podium
from podium.app import expressions
from podium.authoring.agents import files_beside
from podium.authoring.documents import load_workflow
from podium.settings import (
    BudgetSettings,
    LlmSettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    Secret,
    Settings,
)
from podium.testing.llm import Call

EXAMPLES = Path(__file__).parents[2] / "examples"
PLANTED = EXAMPLES / "review" / "fixtures" / "planted"
DEFECTS = json.loads((EXAMPLES / "review" / "fixtures" / "planted.json").read_text())
LETTERS = {"risky": "RP", "complexity": "C", "documentation": "D"}
PRICE = PriceSettings(
    input_per_mtok=Decimal("0.15"),
    output_per_mtok=Decimal("0.60"),
    cached_per_mtok=Decimal("0.075"),
)


def settings_for(stub, folder, *budgets: BudgetSettings) -> Settings:
    """Return settings that know one model, the stub's."""
    url = f"{stub.base_url}/v1"
    provider = ProviderSettings(kind="openai", base_url=url, api_key=Secret(stub.api_key))
    model = ModelSettings(provider="stub", model="gpt-4o-mini", price=PRICE)
    llm = LlmSettings(providers={"stub": provider}, models={"small": model})
    known = Settings(database_url=f"sqlite:///{folder}/podium.db")
    return replace(known, llm=llm, budgets=budgets)


def who(asked) -> str:
    """Return which agent asks."""
    if "You verify" in asked.system:
        return "verifier"
    if "You write" in asked.system:
        return "editor"
    return re.search(r'`reviewer` is "(\w+)"', " ".join(asked.system.split()))[1]


def file_of(asked) -> str:
    """Return the file that an agent is asked about."""
    return re.search(r'"path": "([^"]+)"', asked.text)[1]


def claim(path, line, quote, rule="R001", **changes):
    """Return a finding as a model writes it: without indent, with its own idea of severity."""
    return {
        "rule": rule,
        "severity": "low",
        "file": path,
        "line": line,
        "column": 1,
        "quote": quote.strip(),
        "message": "It is dangerous.",
        "fix": "Do not.",
        "reviewer": "somebody",
        **changes,
    }


def planted(asked):
    """Say what a good reviewer says of the planted sample, after reading each file."""
    name = who(asked)
    if name == "editor":
        return {"overview": "Begin with shop/accounts.py:18."}
    path = file_of(asked)
    if not asked.tool_calls:
        return Call("read_file", {"path": path})
    if name == "verifier":
        return {"rejected": []}
    lines = (PLANTED / path).read_text().split("\n")
    known = [d for d in DEFECTS if d["file"] == path and d["rule"][0] in LETTERS[name]]
    findings = [claim(path, d["line"], lines[d["line"] - 1], d["rule"]) for d in known]
    return {"findings": findings, "omitted": 0}


def workflow():
    """Return the review as the command line loads it."""
    source = EXAMPLES / "review" / "workflow.yaml"
    read = files_beside(source.parent)
    text = source.read_text()
    return load_workflow(
        text, source=str(source), expressions=expressions(), read_file=read
    ).workflow


async def _review(settings, folder, path):
    async with podium.connect(settings=settings) as app, asyncio.timeout(60):
        given = {"path": str(path), "output_dir": str(folder / "out")}
        run = await app.start(workflow(), input=given)
        pending = []
        # A run that fails asks for no approval: then its view says why.
        while not pending and (await run.status()).is_open:
            await asyncio.sleep(0)
            pending = await run.pending_approvals()
        for each in pending:
            await app.decide(each, "approve", by="a test")
        await run.wait()
        return await run.view()


def reviewed(settings, folder, path):
    """Run the review and return its view, report.json and report.md."""
    view = asyncio.run(_review(settings, folder, path))
    assert view.status == "completed", view.error
    report = json.loads(Path(view.output["report_json"]).read_text())
    return view, report, Path(view.output["report_md"]).read_text()
