"""`podium keys`, `podium orgs` and `podium audit`."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest
from tests.cli.conftest import Podium

from podium.core.access import is_intact

HELLO = "name: hello\ntasks: [{name: first}]\n"
STORE = Path(".podium/podium.db")


def actions(podium: Podium, *more: str) -> list[str]:
    items = podium("audit", "list", "--json", *more).json["items"]
    return [row["action"] for row in reversed(items)]


# --- keys ---------------------------------------------------------------------------------------


def test_a_new_key_is_all_that_stands_on_stdout(podium: Podium):
    made = podium("keys", "create", "--role", "admin", "--name", "ops")
    assert made.code == 0
    assert is_intact(made.out.strip())
    assert "shown this once" in made.err
    assert made.out.strip() not in made.err


def test_with_json_a_new_key_comes_with_what_it_is(podium: Podium):
    made = podium("keys", "create", "--role", "admin", "--json").json
    assert made["key"].startswith("sk_")
    assert (made["role"], made["organization"], made["created_by"]) == ("admin", "default", "ada")


def test_keys_are_listed_without_their_secrets(podium: Podium):
    key = podium("keys", "create", "--role", "operator", "--name", "ci").out.strip()
    listed = podium("keys", "list")
    assert "ci" in listed.out
    assert key not in listed.out
    assert key[:7] in listed.out


def test_without_keys_the_list_says_what_that_means(podium: Podium):
    assert "trusts callers on its own machine" in podium("keys", "list").err


def test_a_key_is_rotated_and_revoked(podium: Podium):
    old = podium("keys", "create", "--role", "viewer", "--json").json
    new = podium("keys", "rotate", old["key_id"], "--overlap", "2h", "--json").json
    assert new["key"] != old["key"]
    assert podium("keys", "rotate", old["key_id"]).code == 4
    assert podium("keys", "revoke", new["key_id"]).code == 0
    items = podium("keys", "list", "--json").json["items"]
    statuses = {row["key_id"]: row["status"] for row in items}
    assert statuses == {old["key_id"]: "active", new["key_id"]: "revoked"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "--role", "king"), 2),
        (("create", "--expires", "soon"), 2),
        (("create", "--org", "nowhere"), 3),
        (("rotate", "key_none"), 3),
        (("revoke", "key_none"), 3),
    ],
)
def test_what_cannot_be_done_says_so(podium: Podium, arguments: tuple[str, ...], code: int):
    podium("keys", "create")
    assert podium("keys", *arguments).code == code


# --- organizations ------------------------------------------------------------------------------


def test_an_organization_is_made_and_gets_a_key(podium: Podium):
    assert podium("orgs", "create", "acme", "--title", "Acme Labs").code == 0
    assert podium("orgs", "create", "acme").code == 4
    made = podium("keys", "create", "--org", "acme", "--json").json
    assert made["organization"] == "acme"
    slugs = [row["slug"] for row in podium("orgs", "list", "--json").json["items"]]
    assert slugs == ["acme", "default"]


# --- the audit log ------------------------------------------------------------------------------


def test_what_is_done_at_the_terminal_is_in_the_log(podium: Podium):
    Path("hello.yaml").write_text(HELLO, "utf-8")
    run = podium("run", "hello.yaml", "--json").json["run_id"]
    podium("workflows", "publish", "hello.yaml")
    podium("budgets", "set", "organization", "--usd", "5")
    podium("runs", "rerun", run)
    podium("keys", "create")
    found = actions(podium)
    assert found == ["run.start", "workflow.publish", "budget.set", "run.rerun", "key.create"]
    [first, *_] = podium("audit", "list", "--json").json["items"][::-1]
    assert (first["by"], first["via"], first["subject"]) == ("ada", "cli", run)


def test_verbs_on_runs_are_in_the_log_of_their_organization(podium: Podium):
    ask = "name: ask\ntasks: [{name: publish, checkpoint: before}]\n"
    Path("ask.yaml").write_text(ask, "utf-8")
    run = podium("run", "ask.yaml", "--no-wait", "--json").json["run_id"]
    [asked] = podium("approvals", "list", "--json").json["items"]
    podium("approvals", "approve", asked["approval_id"])
    podium("runs", "cancel", run)
    assert actions(podium)[:2] == ["run.start", "approval.approve"]


def test_looking_leaves_no_line(podium: Podium):
    Path("hello.yaml").write_text(HELLO, "utf-8")
    podium("run", "hello.yaml")
    before = actions(podium)
    for command in (("runs", "list"), ("keys", "list"), ("audit", "verify"), ("budgets", "list")):
        assert podium(*command).code == 0
    assert actions(podium) == before


def test_verify_proves_the_log_and_finds_what_was_changed(podium: Podium):
    for _ in range(3):
        podium("keys", "create")
    whole = podium("audit", "verify")
    assert whole.code == 0
    assert "3 rows, whole" in whole.out
    head = whole.out.split()[-1]
    assert podium("audit", "verify", "--head", head).code == 0
    with closing(apsw.Connection(str(STORE))) as connection:
        connection.execute("drop trigger audit_stays")
        connection.execute("update audit set actor = 'nobody' where seq = 2")
    broken = podium("audit", "verify")
    assert broken.code == 1
    assert "row 2 is not what was written there" in broken.out
    report = podium("audit", "verify", "--json").json
    assert (report["whole"], report["items"][0]["fault"], report["items"][0]["at"]) == (
        False, "changed", 2,
    )  # fmt: skip


def test_a_head_that_is_none_is_refused(podium: Podium):
    podium("keys", "create")
    assert podium("audit", "verify", "--head", "17").code == 2


def test_forgetting_runs_is_in_the_log(podium: Podium):
    assert podium("db", "prune", "--runs", "30d").code == 0
    assert actions(podium) == ["store.prune"]


def test_versions_are_in_the_log(podium: Podium):
    Path("hello.yaml").write_text(HELLO, "utf-8")
    podium("workflows", "publish", "hello.yaml")
    podium("workflows", "rollback", "hello", "1")
    assert actions(podium) == ["workflow.publish", "workflow.activate"]
