"""The example workflows on a real engine, from the definition to the published files."""

import asyncio
import json
from pathlib import Path

import pytest

import podium
from podium.app import expressions
from podium.authoring.agents import files_beside
from podium.authoring.documents import load_workflow


def loaded(examples, name):
    source = examples / name / "workflow.yaml"
    return load_workflow(
        source.read_text(),
        source=str(source),
        expressions=expressions(),
        read_file=files_beside(source.parent),
    ).workflow


async def asked(run):
    """Wait until the run asks for an approval and return its id."""
    pending = []
    while not pending:
        await asyncio.sleep(0)
        pending = await run.pending_approvals()
    return pending[0]


async def decided(workflow, folder, decision, **given):
    """Run a workflow with one checkpoint; return its status and the folder's files."""
    async with podium.connect(f"sqlite:///{folder}/podium.db") as app:
        run = await app.start(workflow, input={"output_dir": str(folder / "out"), **given})
        await app.decide(await asked(run), decision, by="a test")
        await run.wait()
        return await run.view()


def test_an_approved_review_publishes_the_thirty_defects(examples, tmp_path):
    path = str(examples / "review" / "fixtures" / "planted")
    workflow = loaded(examples, "review")
    view = asyncio.run(decided(workflow, tmp_path, "approve", path=path))
    assert (view.output["mode"], view.output["files"]) == ("rules", 6)
    assert (view.output["findings"], view.output["rejected"]) == (30, 0)
    report = json.loads(Path(view.output["report_json"]).read_text())
    assert len(report["findings"]) == 30


def test_a_rejected_review_publishes_nothing(examples, tmp_path):
    path = str(examples / "review" / "fixtures" / "clean")
    asyncio.run(decided(loaded(examples, "review"), tmp_path, "reject", path=path))
    assert not (tmp_path / "out" / "report.md").exists()


async def finished(workflow, folder, given):
    async with podium.connect(f"sqlite:///{folder}/podium.db") as app:
        return await (await app.start(workflow, input=given)).result()


def test_the_etl_example_tolerates_its_two_bad_orders(examples, tmp_path):
    given = {"target": str(tmp_path / "orders.json")}
    output = asyncio.run(finished(loaded(examples, "etl"), tmp_path, given))
    assert (output["loaded"], output["rejected"]) == (10, ["1005", "1009"])


def test_a_wrong_input_fails_the_review_at_once_with_what_is_wrong(examples, tmp_path):
    given = {"path": str(tmp_path / "nowhere")}
    with pytest.raises(podium.RunError, match="There is no"):
        asyncio.run(finished(loaded(examples, "review"), tmp_path, given))
