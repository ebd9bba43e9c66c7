"""Money on the command line: what runs cost, what budgets hold, and how to raise them."""

import pytest


@pytest.fixture
def spend(podium, flows):
    """Run the flow that pays so many cents."""
    return lambda cents, *more: podium("run", f"{flows}/spending.py:spends", "-i",
                                       f"cents={cents}", *more)  # fmt: skip


def test_a_run_tells_what_it_cost(podium, spend):
    result = spend(4, "--json")
    assert (result.json["cost_usd"], result.json["model_calls"]) == (0.04, 1)
    assert "for $0.04 (1 call, 7 tokens)" in spend(4).err
    shown = podium("runs", "show", "run_00000001", "--json").json
    assert (shown["cost_usd"], shown["steps"][0]["cost_usd"]) == (0.04, 0.04)
    assert "cost    $0.04" in podium("runs", "show", "run_00000001").out
    listed = podium("runs", "list")
    assert "COST" in listed.out
    assert "$0.04" in listed.out


def test_a_budget_set_on_the_store_is_kept_and_shown(podium, spend):
    assert podium("budgets", "set", "organization", "--usd", "0.05", "--per", "month").code == 0
    assert spend(4).code == 0
    refused = spend(4, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "PDM-B001")
    document = podium("budgets", "list", "--json").json
    assert [rule["name"] for rule in document["rules"]] == ["organization/month"]
    [account] = document["accounts"]
    assert account["spent"]["usd"] == 0.04
    assert "$0.04" in podium("budgets", "list").out


def test_a_budget_may_be_raised_and_forgotten(podium, spend):
    podium("budgets", "set", "organization", "--usd", "0.05")
    spend(4)
    assert podium("budgets", "grant", "organization:default@total", "--usd", "0.05").code == 0
    assert spend(4).code == 0
    assert spend(4).code == 1
    podium("budgets", "set", "organization", "--remove")
    assert spend(4).code == 0


def test_a_run_shows_its_ledger(podium, spend):
    spend(4)
    document = podium("budgets", "show", "run_00000001", "--json").json
    [line] = document["ledger"]
    assert (line["cost_usd"], line["run_id"], line["provider"]) == (0.04, "run_00000001", "acme")
    assert "together $0.04" in podium("budgets", "show", "run_00000001").out


def test_at_a_limit_that_pauses_a_person_decides_and_yes_does_not(podium, spend):
    podium("budgets", "set", "organization", "--usd", "0.05", "--on-limit", "pause")
    result = spend(6, "--yes")
    assert result.code == 6
    assert "would exceed the budget organization/total" in result.err
    [approval] = podium("approvals", "list", "--json").json["items"]
    assert podium("runs", "explain", "run_00000001", "--json").json["code"] == "budget"
    assert podium("approvals", "approve", approval["approval_id"]).code == 0
    assert podium("recover").code == 0
    assert podium("runs", "show", "run_00000001", "--json").json["status"] == "completed"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["set", "organization"], "PDM-R053"),
        (["set", "organization", "--usd", "much"], "PDM-R053"),
        (["grant", "organization:default@total"], "PDM-R053"),
        (["show", "organization:nobody@total"], "PDM-R411"),
    ],
)
def test_what_is_wrong_is_said(podium, arguments, code):
    assert podium("budgets", *arguments, "--json").json["error"]["code"] == code
