"""The bench measures what it says: small runs of every workload, and its arithmetic."""

import asyncio
import json

import pytest

from podium.bench import main
from podium.bench.agents import measure_agents, measure_spread_agents
from podium.bench.caps import measure_cap
from podium.bench.command import START, WORKLOADS
from podium.bench.crash import ledger_facts
from podium.bench.gateway import measure_gateway
from podium.bench.machine import describe_machine, probe
from podium.bench.measure import Sample, percentile
from podium.bench.model_server import answer
from podium.bench.peers import Peer, prepare
from podium.bench.report import Report, Row, as_text
from podium.bench.startup import distributions_of
from podium.bench.targets import TARGETS, verdicts
from podium.bench.waiting import measure_waiting
from podium.bench.workloads import Sizes, measure_fan_out
from podium.errors import RequestError

TINY = Sizes(
    steps=20, runs=10, items=50, waiting=10, wakes=5, in_flight=10, starts=5,
    calls=20, agents=5, turn_ms=50, payers=5,
)  # fmt: skip


def test_the_bench_prints_one_json_document_with_every_round(tmp_path, capsys):
    assert main(["W1", "W2", "--quick", "--rounds", "2", "--json", "--dir", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["workload"] for row in document["rows"]] == ["W1", "W2"]
    assert [len(row["rounds"]) for row in document["rows"]] == [2, 2]
    assert document["rows"][0]["best"]["flushes_per_step"] == pytest.approx(1, abs=0.05)


def test_the_bench_leaves_nothing_behind(tmp_path, capsys):
    main(["W6", "--quick", "--rounds", "1", "--dir", str(tmp_path)])
    assert not list(tmp_path.iterdir())
    assert "W6" in capsys.readouterr().out


def test_a_table_shows_targets_and_the_machine_beside_each_row(tmp_path, capsys):
    main(["W3", "--quick", "--rounds", "1", "--dir", str(tmp_path)])
    text = capsys.readouterr().out
    assert "flush p50 ms" in text
    assert "(must be <= 100)" in text


def test_the_service_is_measured_beside_a_bare_handler(tmp_path, capsys):
    main(["H1", "--quick", "--rounds", "1", "--json", "--dir", str(tmp_path)])
    [row] = json.loads(capsys.readouterr().out)["rows"]
    assert row["best"]["unit"] == "starts/s"
    assert {"get_p99_ms", "bare_get_p99_ms", "rss_idle_mb"} <= set(row["best"]["facts"])


def test_an_unknown_workload_is_refused_with_a_suggestion():
    with pytest.raises(RequestError) as caught:
        main(["W7"])
    assert caught.value.code == "PDM-R070"


def test_an_unknown_peer_is_refused():
    with pytest.raises(RequestError) as caught:
        prepare("temporal")
    assert caught.value.code == "PDM-R071"


def test_waiting_runs_are_woken_and_end(tmp_path):
    sample = asyncio.run(measure_waiting(tmp_path, TINY))
    assert sample.latency is not None
    assert set(sample.facts) >= {"kb_per_run", "idle_cpu_percent"}


def test_a_map_reports_how_much_of_it_was_in_memory(tmp_path):
    sample = asyncio.run(measure_fan_out(tmp_path, TINY))
    assert sample.facts["live_steps_max"] >= 0
    assert sample.rate > 0


def test_a_call_of_a_model_is_measured_alone_and_through_the_gateway(tmp_path):
    sample = asyncio.run(measure_gateway(tmp_path, TINY))
    assert sample.rate > 0
    assert sample.facts["wire_p50_ms"] > 0
    assert sample.facts["overhead_p50_ms"] > sample.facts["overhead_free_p50_ms"] > 0
    assert sample.rows > 0, "the calls were paid out of a budget on the disk"


def test_agents_take_their_turns_and_all_of_them_answer(tmp_path):
    sample = asyncio.run(measure_agents(tmp_path, TINY))
    assert sample.facts["errors"] == 0
    assert sample.wall_s >= 3 * 0.05
    assert sample.facts["over_ideal_percent"] > 0
    assert sample.facts["rss_peak_mb"] > 0


def test_agents_may_also_begin_one_after_the_other(tmp_path):
    sample = asyncio.run(measure_spread_agents(tmp_path, TINY))
    assert (sample.workload, sample.facts["errors"]) == ("A1 spread", 0)
    assert sample.wall_s >= 3 * 0.05 + 0.05 * 4 / 5


def test_an_agent_that_fails_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("podium.bench.agents.MODEL", "nobody")
    assert asyncio.run(measure_agents(tmp_path, TINY)).facts["errors"] == TINY.agents


def test_a_cap_is_used_up_and_not_exceeded(tmp_path):
    facts = asyncio.run(measure_cap(tmp_path, TINY)).facts
    assert facts["overspend_usd"] == 0
    assert facts["used_percent"] > 90
    assert facts["not_in_the_ledger_usd"] == 0


def test_the_model_asks_for_a_tool_until_its_last_turn():
    said = [json.loads(answer(turn, 3).partition(b"\r\n\r\n")[2]) for turn in range(3)]
    ends = [each["choices"][0]["finish_reason"] for each in said]
    assert ends == ["tool_calls", "tool_calls", "stop"]


def test_a_peer_is_not_asked_for_what_it_has_not(tmp_path):
    assert Peer("litellm", tmp_path / "no", tmp_path / "no").measure("W1", tmp_path, {}) == []


@pytest.mark.parametrize(("rate", "verdict"), [(500, "ok"), (499, "MISS")])
def test_a_ratio_that_has_to_be_reached_is_told(tmp_path, rate, verdict):
    samples = [
        Sample(system=system, workload="G1", what="", wall_s=1, rate=speed)
        for system, speed in (("podium", rate), ("litellm sdk", 100))
    ]
    rows = [Row(workload="G1", system=each.system, rounds=[each]) for each in samples]
    report = Report(version="", machine=describe_machine(tmp_path), rounds=1, rows=rows)
    assert as_text(report).endswith(f"x the rate: {verdict} (must be >= 5x)")


def test_a_probe_measures_disk_and_processor_and_removes_its_files(tmp_path):
    found = probe(tmp_path)
    assert found.commits_per_s > 0
    assert found.fdatasync_p50_ms > 0
    assert not list(tmp_path.iterdir())


def test_the_machine_names_the_file_system_it_measures(tmp_path):
    assert describe_machine(tmp_path).file_system


def test_a_ledger_tells_lost_steps_from_repeated_ones(tmp_path):
    ledger = tmp_path / "ledger"
    ledger.write_text("0 0\n0 1\n0 1\n1 0\n1 0\n1 0\n", encoding="utf-8")
    facts = ledger_facts(ledger, runs=2, steps=2)
    assert facts == {"lost": 1, "repeated": 3, "repeated_max_per_run": 2}


def test_percentiles_are_values_that_were_measured():
    assert [percentile([4, 1, 3, 2], share) for share in (0, 50, 100)] == [1, 3, 4]


def row(*rates: float) -> Row:
    rounds = [
        Sample(system="podium", workload="W1", what="", wall_s=1, rate=rate) for rate in rates
    ]
    return Row(workload="W1", system="podium", rounds=rounds)


def test_a_row_shows_its_best_round_and_the_one_in_the_middle():
    assert (row(2, 9, 5).best.rate, row(2, 9, 5).middle.rate) == (9, 5)


def test_a_target_that_is_missed_says_so():
    [(name, value, sign, limit, holds)] = verdicts(row(2000).best)
    assert (name, value, sign, limit, holds) == ("steps/s", 2000, ">=", 2500, False)


def test_every_target_belongs_to_a_workload_that_is_measured():
    assert set(TARGETS) == {*WORKLOADS, "W3 large", "A1 spread", START}


def test_an_installation_is_counted_with_all_it_needs():
    names = {found.name.lower() for found in distributions_of("pytest")}
    assert {"pytest", "pluggy"} <= names
