"""Tests of the clerk against a model that says what we want: no network, no key, no cost.

python -m pytest tests      (needs podium's extras `llm` and `testing`)
"""

import asyncio
from decimal import Decimal
from pathlib import Path

import podium
from podium.settings import (
    LlmSettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    Secret,
    Settings,
)
from podium.testing.llm import Call

HERE = Path(__file__).resolve().parent.parent


def run_desk(folder, stub=None):
    """Run the workflow to its end, approving what it asks, and return its output."""
    llm = LlmSettings()
    if stub is not None:
        provider = ProviderSettings(
            kind="openai", base_url=stub.base_url, api_key=Secret(stub.api_key)
        )
        price = PriceSettings(input_per_mtok=Decimal("0.15"), output_per_mtok=Decimal("0.60"))
        model = ModelSettings(provider="stub", model="gpt-4o-mini", price=price)
        llm = LlmSettings(providers={"stub": provider}, models={"small": model}, default="small")
    settings = Settings(database_url=f"sqlite:///{folder}/podium.db", llm=llm)

    async def finish():
        async with podium.connect(settings=settings) as app:
            workflow = podium.load(HERE / "workflow.yaml")
            run = await app.start(workflow, input={"target": str(folder / "answers.json")})
            while not (asked := await run.pending_approvals()):
                await asyncio.sleep(0.01)
            await app.decide(asked[0], "approve", by="me")
            return await run.result()

    return asyncio.run(finish())


def test_rules_answer_where_there_is_no_model(tmp_path):
    sent = run_desk(tmp_path)
    assert (sent["mode"], sent["cost_usd"], sent["sent"]) == ("rules", 0, 4)


def test_the_clerk_looks_orders_up_before_it_answers(tmp_path, model_stub):
    fine = {"answer": "It is on its way.", "topic": "delivery", "needs_person": False}
    model_stub.script(lambda asked: fine if asked.turn else Call("order", {"number": "1001"}))
    sent = run_desk(tmp_path, model_stub)
    assert (sent["mode"], sent["for_people"]) == ("model", [])
    assert "on its way" in (tmp_path / "answers.json").read_text()
    assert sent["cost_usd"] == round(model_stub.bill().cost_nano / 1e9, 6)
