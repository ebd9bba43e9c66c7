"""`podium schedules`: from a cron line to its runs."""

import pytest

WORKFLOW = "name: quick\ninputs: {day: {type: string, default: x}}\ntasks: [{name: a}]\n"


@pytest.fixture
def schedules(podium, tmp_path):
    """Return what calls `podium schedules` where `w.yaml` is a workflow."""
    (tmp_path / "w.yaml").write_text(WORKFLOW)

    def call(*arguments):
        return podium("schedules", *arguments)

    return call


def made(schedules, *more):
    result = schedules("create", "nightly", "w.yaml", "--cron", "30 2 * * *", "--json", *more)
    assert result.code == 0, result.err
    return result.json


def test_a_preview_needs_nothing_but_a_line(schedules):
    result = schedules("preview", "30 2 * * MON-FRI", "--timezone", "Europe/Berlin", "--json")
    shown = result.json
    assert shown["meaning"] == ["At 02:30 on Monday through Friday"]
    assert len(shown["ticks"]) == 10
    assert (shown["timezone"], shown["zones_agree"]) == ("Europe/Berlin", False)


def test_a_preview_shows_the_zone_of_this_machine_where_it_differs(schedules, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    out = schedules("preview", "@daily", "--timezone", "Europe/Berlin", "--count", 1).out
    assert "zone Europe/Berlin (this machine shows America/New_York)" in out
    assert "IN AMERICA/NEW_YORK" in out
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert "this machine" not in schedules("preview", "@daily", "--timezone", "Europe/Berlin").out


def test_a_preview_says_when_clocks_change(schedules):
    options = ("--timezone", "Europe/Berlin", "--start", "2027-03-28", "--count", 1)
    out = schedules("preview", "30 2 * * *", *options).out
    assert "2027-03-28 03:00:00+02:00" in out
    assert "clocks go forward 60 min on this day" in out


def test_a_file_is_published_and_scheduled(schedules, podium):
    view = made(schedules, "-i", "day=${{ schedule.date }}", "--label", "team=a")
    assert view["spec"]["input"] == {"day": "${{ schedule.date }}"}
    assert view["spec"]["labels"]["team"] == "a"
    assert "quick" in podium("workflows", "list").out
    assert "nightly" in schedules("list").out
    result = schedules("show", "nightly")
    assert "At 02:30 every day" in result.out
    assert "podium serve" in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "x", "w.yaml", "--cron", "61 * * * *"), 2, "PDM-D501"),
        (("create", "x", "w.yaml", "--cron", "@daily", "--timezone", "Nowhere"), 2, "PDM-D502"),
        (("create", "x", "w.yaml", "--every", "1ms"), 2, "PDM-D503"),
        (("create", "x", "w.yaml", "--at", "soon"), 2, "PDM-D504"),
        (("create", "x", "w.yaml"), 2, "PDM-D505"),
        (("create", "x", "nothing", "--cron", "@daily"), 3, "PDM-R406"),
        (("create", "x", "w.yaml", "--cron", "@daily", "-i", "nope=1"), 2, "PDM-R"),
        (("show", "nope"), 3, "PDM-R430"),
        (("apply",), 2, "PDM-R182"),
        (("preview", "nightly", "--every", "1h"), 2, "PDM-R180"),
    ],
)
def test_what_is_wrong_is_told(schedules, arguments, code, said):
    result = schedules(*arguments)
    assert (result.code, said in result.err) == (code, True), result.err


def test_a_schedule_is_changed_paused_resumed_and_deleted(schedules):
    made(schedules, "--overlap", "allow")
    assert schedules("create", "nightly", "w.yaml", "--cron", "@daily").code == 4
    changed = schedules("update", "nightly", "--every", "1h", "--json").json
    assert changed["spec"]["every"] == ["1h"]
    assert "cron" not in changed["spec"]
    assert changed["spec"]["overlap"] == "allow"
    paused = schedules("pause", "nightly", "--comment", "moving house", "--json").json
    assert (paused["status"], paused["comment"], paused["next_at"]) == (
        "paused", "moving house", None,
    )  # fmt: skip
    assert "moving house" in schedules("list").out
    assert schedules("resume", "nightly", "--json").json["status"] == "active"
    assert schedules("delete", "nightly").code == 0
    assert schedules("list", "--json").json["items"] == []


def test_declared_schedules_are_applied_again_and_again(schedules, tmp_path, podium):
    podium("workflows", "publish", "w.yaml")
    project = tmp_path / "podium.yaml"
    text = 'schedules:\n  a: {workflow: quick, cron: "@daily"}\n'
    project.write_text(text + "  b: {workflow: quick, every: 1h}\n")
    assert schedules("apply", "--dry-run", "--json").json["changes"] == {
        "a": "created", "b": "created",
    }  # fmt: skip
    assert schedules("list", "--json").json["items"] == []
    schedules("apply")
    assert schedules("apply", "--json").json["changes"] == {"a": "unchanged", "b": "unchanged"}
    schedules("pause", "a")
    project.write_text(text.replace("@daily", "@hourly"))
    changes = schedules("apply", "--prune", "--json").json["changes"]
    assert changes == {"a": "updated", "b": "deleted"}
    [left] = schedules("list", "--json").json["items"]
    assert (left["name"], left["spec"]["cron"], left["status"]) == ("a", ["@hourly"], "paused")


def test_an_invalid_declaration_changes_nothing(schedules, tmp_path, podium):
    podium("workflows", "publish", "w.yaml")
    (tmp_path / "podium.yaml").write_text(
        'schedules:\n  a: {workflow: quick, cron: "@daily"}\n  b: {workflow: quick, cron: "x"}\n'
    )
    assert schedules("apply").code == 2
    assert schedules("list", "--json").json["items"] == []


def test_a_run_and_a_backfill_are_left_to_another_process(schedules, monkeypatch):
    begun = []
    monkeypatch.setattr(
        "podium.cli.scheduling.start_background",
        lambda url, folder: begun.append(url) or (1, folder),
    )
    made(schedules)
    result = schedules("trigger", "nightly", "--idempotency-key", "k", "--json")
    again = schedules("trigger", "nightly", "--idempotency-key", "k", "--json")
    assert result.json["run_id"] == again.json["run_id"]
    assert schedules("trigger", "nightly").code == 4
    span = ("--from", "2026-11-18", "--to", "2026-11-20")
    dry = schedules("backfill", "nightly", *span, "--dry-run", "--json").json
    assert [tick["run_id"] for tick in dry["items"]] == [None, None]
    done = schedules("backfill", "nightly", *span, "--json").json["items"]
    assert schedules("backfill", "nightly", *span, "--json").json["items"] == done
    assert len(begun) == 3
    assert "backfill" in schedules("show", "nightly").out


def test_what_people_do_is_in_the_audit_log(schedules, podium):
    made(schedules)
    schedules("pause", "nightly")
    rows = podium("audit", "list", "--json").json
    actions = [row["action"] for row in rows.get("items", rows) if "schedule" in row["action"]]
    assert sorted(actions) == ["schedule.create", "schedule.pause"]
