"""Every page in both colours, as axe sees it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
AUDIT = """async () => {
  const told = await axe.run(document, { resultTypes: ["violations"] });
  return told.violations.map((each) => each.id + ": " + each.nodes.map((it) => it.html).join(" "));
}"""


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("NO axe-core: `make ui` installs it")
    return AXE.read_text()


@pytest.fixture(params=["light", "dark"])
def coloured(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page(color_scheme=request.param, viewport={"width": 1280, "height": 800})
    yield page
    page.close()


def test_every_page_is_accessible(
    server: Any, coloured: Page, axe: str, starting: Any, task: Any
) -> None:
    failed = starting("import", task("post", "python:served_tasks:broken", max_retries=1))
    waits = starting(
        "orders",
        task("list"),
        task("check", "noop", "list", for_each=[1, 2, 3]),
        task("pay", "noop", "check", checkpoint="before", **{"with": {"order": 7}}),
    )
    server.wait(failed)
    for address, shows in (
        ("/", waits),
        (f"/runs/{waits}", "Decide"),
        (f"/runs/{waits}?tab=timeline&step=pay", "needs approval"),
        (f"/runs/{failed}?tab=events&step=post", "run.failed"),
        (f"/runs/{failed}?tab=data", "Input"),
        (f"/runs/{failed}?tab=cost", "$0.00 spent"),
        ("/approvals", "Start pay?"),
        ("/workflows?workflow=orders", "Start a run"),
        ("/agents", "Agents"),
    ):
        coloured.goto(f"{server.url}{address}")
        expect(coloured.get_by_text(shows).first).to_be_visible()
        coloured.evaluate(axe)
        assert coloured.evaluate(AUDIT) == [], address
    coloured.goto(f"{server.url}/runs/{failed}")
    coloured.evaluate(axe)
    for name in ("More verbs", "Skip a step"):
        coloured.get_by_role("main").get_by_label(name).or_(
            coloured.get_by_role("menuitem", name=name)
        ).first.click()
        assert coloured.evaluate(AUDIT) == [], name
