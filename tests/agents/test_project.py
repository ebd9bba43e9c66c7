"""Agents from a project on disk: podium.yaml, files beside definitions, a model over HTTP."""

import json

import msgspec
import pytest
from test_loop import agent_run

import podium
from podium.app import build_engine, connect
from podium.authoring.agents import known_agents
from podium.authoring.project import project_settings
from podium.cli.loading import load_definition
from podium.core.agents import AgentSpec
from podium.runtime.services import FOLDER_LABEL
from podium.settings import Settings
from podium.testing.llm import Call, ModelStub

PROJECT = """
llm:
  providers: {{local: {{kind: openai, base_url: "{url}", api_key: "${{STUB_KEY}}"}}}}
  models:
    small:
      provider: local
      model: {model}
      price: {{input_per_mtok: 0.15, output_per_mtok: 0.60}}
agents:
  risk:
    instructions: risk.md
    output: finding.json
    tools: [read_file, grep]
"""
SCHEMA = {"type": "object", "properties": {"risk": {"type": "string"}}, "required": ["risk"]}


def settings_in(folder, **environment):
    return project_settings(flags={}, environment=environment, folder=folder)[0]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that writes a project for a model at an address."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "risk.md").write_text("Judge how risky the file is.")
    (tmp_path / "finding.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "code.py").write_text("password = 'none'\n")
    (tmp_path / "flow.yaml").write_text('tasks: [{name: a, uses: "agent:risk", with: code.py}]')

    def write(url="http://127.0.0.1:1", model="gpt-4o-mini"):
        (tmp_path / "podium.yaml").write_text(PROJECT.format(url=url, model=model))
        return tmp_path

    return write


def test_agents_of_the_project_are_pinned_in_the_definition(project):
    folder = project()
    settings = settings_in(folder)
    workflow, _ = load_definition(folder / "flow.yaml", settings)
    [(slug, spec)] = workflow.agents.items()
    assert slug == "risk"
    assert spec.instructions == "Judge how risky the file is."
    assert spec.output == SCHEMA
    before = workflow.content_hash
    (folder / "risk.md").write_text("Judge again.")
    assert load_definition(folder / "flow.yaml", settings_in(folder))[0].content_hash != before


def test_a_fault_in_the_agents_of_a_project_has_its_place(project):
    folder = project()
    text = (folder / "podium.yaml").read_text().replace("grep]", "grpe]")
    (folder / "podium.yaml").write_text(text)
    with pytest.raises(podium.DefinitionError, match=r"podium.yaml:13:\d+: PDM-D402"):
        settings_in(folder)


@pytest.mark.parametrize("name", ["../out.md", "/etc/hostname.txt", "missing.md", "link.md"])
def test_files_of_agents_lie_beside_the_definition(project, tmp_path_factory, name):
    folder = project()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "out.md"
    elsewhere.write_text("secret")
    (folder / "link.md").symlink_to(elsewhere)
    text = (folder / "podium.yaml").read_text().replace("risk.md", name)
    (folder / "podium.yaml").write_text(text)
    with pytest.raises(podium.DefinitionError, match="PDM-D404"):
        settings_in(folder)


def test_agents_given_in_code_are_read_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agents = {"given": {"instructions": "Be kind."}, "made": AgentSpec(name="made")}
    build_engine(Settings(agents=agents))
    assert known_agents()["given"].instructions == "Be kind."
    assert known_agents()["made"].max_turns == 8


def test_without_models_and_keys_nothing_is_configured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert build_engine(Settings()).registry.services.models is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something-long")
    services = build_engine(Settings()).registry.services
    assert services.models is not None
    assert services.secrets.redact("it is sk-something-long") == "it is [secret]"


async def test_an_agent_asks_a_model_over_http_and_the_bill_is_right(
    sqlite_house, project, monkeypatch
):
    # The house is what gives the test a loop in real time.
    assert sqlite_house.loop_factory is None
    async with ModelStub() as stub:
        stub.script(Call("read_file", {"path": "code.py"}), {"risk": "low"})
        monkeypatch.setenv("STUB_KEY", stub.api_key)
        folder = project(stub.base_url, "gpt-4o-mini")
        settings = settings_in(folder, STUB_KEY=stub.api_key)
        settings = msgspec.structs.replace(settings, database_url=f"sqlite:///{folder}/p.db")
        workflow, _ = load_definition(folder / "flow.yaml", settings)
        async with connect(settings=settings) as app:
            handle = await app.start(workflow, labels={FOLDER_LABEL: str(folder)})
            answer = await handle.result()
            steps = {step.path: step for step in (await (await agent_run(app)).view()).steps}
        stub.wait_until_idle()
        bill = stub.bill()
    assert answer["result"] == {"risk": "low"}
    assert "password = 'none'" in steps["turn[1]/read_file"].output["content"]
    assert answer["turns"] == 2
    assert len(bill.lines) == 2
    assert round(answer["cost_usd"] * 1e9) == sum(line.cost_nano for line in bill.lines) > 0
    assert answer["tokens"] == sum(line.usage.total for line in bill.lines)
