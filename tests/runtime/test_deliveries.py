"""Webhooks on their way out: told once, delivered or parked, whatever receivers and crashes do."""

import asyncio
import json
import random
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook
from waiting import dag, slow_down

from podium.core.webhooks import ATTEMPTS_MAX
from podium.errors import NotFoundError, RequestError
from podium.ports.egress import Reply
from podium.runtime import deliveries as module
from podium.runtime import scheduler
from podium.runtime.deliveries import PROGRESS_ID, Deliveries
from podium.testing import VirtualPodium

URL = "https://hooks.example/in"
QUICK = "[{name: a, uses: noop}, {name: b, uses: noop, depends_on: [a]}]"
GATE = "[{name: go, uses: signal, with: {name: go}}]"
HOUR_S = 3600


@pytest.fixture(autouse=True)
def no_schedules(monkeypatch):
    """Let virtual days pass without looking for schedules every second."""
    monkeypatch.setattr(scheduler, "LOOK_EVERY_S", 86_400.0)


async def a_while(seconds=5.0):
    """Let virtual time pass."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


class Receiver:
    """The way out of a test: notes what is sent, and answers what it is told."""

    def __init__(self, *replies):
        self.sent = []
        self.replies = list(replies)
        self.gate = None
        self.arrived = asyncio.Event()

    def fault_in_url(self, url):
        return "" if url.startswith("https://") else "only https in this test"

    async def post(self, url, *, headers, body, trusted=False):
        now_s = asyncio.get_running_loop().time()
        self.sent.append((now_s, url, headers, body))
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        return self.replies.pop(0) if self.replies else Reply(code=200)

    async def close(self):
        """Nothing is open."""

    def types(self, url=URL):
        return [json.loads(body)["type"] for _, to, _, body in self.sent if to == url]

    def ids(self):
        return [headers["webhook-id"] for _, _, headers, _ in self.sent]


async def telling(app, receiver, *, progress="", role="all"):
    """Let an app tell and deliver by this receiver."""
    object.__setattr__(app.engine.registry.services, "egress", receiver)
    object.__setattr__(app.engine.registry.services, "progress_url", progress)
    engine = app.engine
    engine.audience.deliveries = Deliveries(
        store=engine.store, registry=engine.registry, egress=receiver, dice=lambda: 0.0
    )
    await engine.audience.deliveries.begin(engine.spawn, role=role)


async def settled(app, hook):
    """Wait until nothing more is to be delivered."""
    await app.engine.audience.deliveries._tell()
    while rows := await app.webhooks.deliveries(hook.webhook_id, status="pending"):
        await a_while(HOUR_S)
        assert rows


def play(scenario, *replies, podium=None):
    """Run `scenario(app, receiver)` in virtual time."""

    async def with_receiver(app):
        receiver = Receiver(*replies)
        await telling(app, receiver)
        return await scenario(app, receiver)

    return (podium or VirtualPodium())(with_receiver)


def test_a_run_is_told_from_its_start_to_its_end():
    async def scenario(app, receiver):
        hook, secret = await app.webhooks.create(URL)
        run = await app.start(dag(QUICK))
        await run.result()
        await settled(app, hook)
        assert receiver.types() == [
            f"orchestration.run.{word}" for word in ("queued", "started", "completed")
        ]
        _, _, headers, body = receiver.sent[-1]
        event = json.loads(body)
        assert headers["webhook-id"] == event["id"].replace(":", "_")
        assert headers["Content-Type"].startswith("application/cloudevents+json")
        return secret, headers, body

    secret, headers, body = play(scenario)
    # The clock of this test is virtual: only the signature can be compared.
    expected = Webhook(secret)
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert headers["webhook-signature"] == expected.sign(headers["webhook-id"], at, body.decode())


def test_a_webhook_hears_of_what_it_names_only():
    async def scenario(app, receiver):
        steps, _ = await app.webhooks.create(URL, events=["orchestration.step.completed"])
        await app.webhooks.create("https://other.example/", workflow="elsewhere")
        stranger = app.on_behalf_of("stranger")
        await stranger.webhooks.create("https://stranger.example/")
        await (await app.start(dag(QUICK))).result()
        await settled(app, steps)
        assert receiver.types() == ["orchestration.step.completed"] * 2
        assert {url for _, url, _, _ in receiver.sent} == {URL}

    play(scenario)


def test_what_came_before_a_webhook_is_not_told():
    async def scenario(app, receiver):
        await app.webhooks.create("https://first.example/")
        await (await app.start(dag(QUICK))).result()
        hook, _ = await app.webhooks.create(URL)
        run = await app.start(dag(QUICK))
        await run.result()
        await settled(app, hook)
        subjects = {json.loads(body)["subject"] for _, to, _, body in receiver.sent if to == URL}
        assert subjects == {run.id}

    play(scenario)


def test_a_receiver_that_fails_is_tried_for_three_days_and_then_parked():
    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL, events=["orchestration.run.completed"])
        await (await app.start(dag(QUICK))).result()
        await settled(app, hook)
        [parked] = await app.webhooks.deliveries(hook.webhook_id)
        assert (parked.status, parked.attempts, parked.code) == ("dead", ATTEMPTS_MAX, 500)
        assert parked.detail == "It answered 500."
        begun_s = receiver.sent[0][0]
        delays = [round(at - begun_s) for at, _, _, _ in receiver.sent]
        wanted = [0, 5, 305, 2105, 9305, 27305, 63305, 113705, 185705, 272105]
        assert all(abs(a - b) <= 15 for a, b in zip(delays, wanted, strict=True)), delays
        assert len(set(receiver.ids())) == 1
        assert len({body for _, _, _, body in receiver.sent}) == 1

    play(scenario, *[Reply(code=500)] * ATTEMPTS_MAX)


def test_a_failed_attempt_is_logged_and_kept(caplog):
    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL, events=["orchestration.run.completed"])
        await (await app.start(dag(QUICK))).result()
        await app.engine.audience.deliveries._tell()
        await receiver.arrived.wait()
        await a_while(1)
        [row] = await app.webhooks.deliveries(hook.webhook_id)
        assert (row.status, row.code, row.detail) == ("pending", 503, "It answered 503.")

    play(scenario, Reply(code=503))
    [record] = [each for each in caplog.records if each.message == "webhook.failed"]
    assert (record.levelname, record.code, record.attempt) == ("WARNING", 503, 1)


def test_a_parked_delivery_is_replayed_with_its_id():
    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL, events=["orchestration.run.completed"])
        await (await app.start(dag(QUICK))).result()
        await settled(app, hook)
        assert await app.webhooks.replay(hook.webhook_id) == 1
        await settled(app, hook)
        [row] = await app.webhooks.deliveries(hook.webhook_id)
        assert (row.status, row.attempts) == ("delivered", 1)
        assert len(set(receiver.ids())) == 1
        with pytest.raises(NotFoundError, match="PDM-R416"):
            await app.webhooks.replay(hook.webhook_id, delivery=999)

    play(scenario, *[Reply(detail="no answer")] * ATTEMPTS_MAX)


def test_a_receiver_that_is_gone_is_switched_off():
    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL)
        await (await app.start(dag(QUICK))).result()
        await settled(app, hook)
        row = await app.webhooks.get(hook.webhook_id)
        assert (row.is_active, row.reason) == (False, "It answered 410 Gone.")
        statuses = {each.status for each in await app.webhooks.deliveries(hook.webhook_id)}
        assert "pending" not in statuses
        with pytest.raises(RequestError, match="switched off"):
            await app.webhooks.replay(hook.webhook_id)
        again = await app.webhooks.change(hook.webhook_id, is_active=True)
        assert (again.is_active, again.reason) == (True, "")

    play(scenario, Reply(code=410))


def test_a_receiver_that_asks_for_a_pause_gets_it():
    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL, events=["orchestration.run.completed"])
        await (await app.start(dag(QUICK))).result()
        await settled(app, hook)
        first, second = (at for at, _, _, _ in receiver.sent)
        assert second - first >= 900

    play(scenario, Reply(code=429, retry_after_s=900.0))


def test_a_receiver_that_hangs_holds_up_no_other():
    async def scenario(app, receiver):
        receiver.gate = asyncio.Event()
        slow, _ = await app.webhooks.create("https://slow.example/", events=["orchestration.*"])
        for _ in range(6):
            await (await app.start(dag(QUICK))).result()
        await app.engine.audience.deliveries._tell()
        await receiver.arrived.wait()
        hook, _ = await app.webhooks.create(URL, events=["orchestration.run.completed"])
        await (await app.start(dag(QUICK))).result()
        while not receiver.types():
            await a_while(0.1)
        busy = [to for _, to, _, _ in receiver.sent if to != URL]
        assert len(busy) <= 2 * module.PER_WEBHOOK
        receiver.gate.set()
        await settled(app, slow)
        await settled(app, hook)

    play(scenario)


def test_a_process_that_ends_while_telling_repeats_nothing_and_loses_nothing():
    podium = VirtualPodium()
    heard = []

    async def first(app, receiver):
        receiver.gate = asyncio.Event()
        hook, _ = await app.webhooks.create(URL, events=["orchestration.*"])
        run = await app.start(dag(GATE))
        await app.engine.audience.deliveries._tell()
        await receiver.arrived.wait()
        heard.extend(receiver.ids())
        await run.signal("go", 1)
        # Nothing is answered: the process ends in the middle, and tells what was committed last.
        return hook, run

    hook, run = play(first, podium=podium)

    async def second(app, receiver):
        await settled(app, hook)
        heard.extend(receiver.ids())
        rows = await app.webhooks.deliveries(hook.webhook_id, limit=1000)
        assert {row.status for row in rows} == {"delivered"}
        events = [event async for event in app.follow(run.id)]
        assert [row.message_id for row in reversed(rows)] == [
            event.id.replace(":", "_") for event in events
        ]
        assert set(heard) == {row.message_id for row in rows}

    play(second, podium=podium)


@pytest.mark.parametrize("seed", range(12))
def test_those_who_tell_at_the_same_time_and_those_who_are_cut_off_lose_nothing(seed):
    dice = random.Random(seed)

    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL, events=["orchestration.*"])
        runs = [await app.start(dag(QUICK)) for _ in range(3)]
        for run in runs:
            await run.result()
        slow_down(
            app.engine.store, "feed", "webhooks", "told_until", turns=lambda: dice.randrange(9)
        )
        slow_down(app.engine.registry, "plan")
        deliveries = app.engine.audience.deliveries
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                telling = group.create_task(deliveries._tell())
                for _ in range(dice.randrange(20)):
                    await asyncio.sleep(0)
                if dice.random() < 0.5:
                    telling.cancel()
        await settled(app, hook)
        events = [event for run in runs async for event in app.follow(run.id)]
        assert sorted(receiver.ids()) == sorted(event.id.replace(":", "_") for event in events)

    play(scenario)


def test_a_webhook_of_the_settings_hears_of_everything_and_ends_with_its_setting():
    podium = VirtualPodium()

    async def told(app):
        receiver = Receiver()
        await telling(app, receiver, progress="https://progress.example/")
        await a_while()
        stranger = app.on_behalf_of("stranger")
        await (await stranger.start(dag(QUICK))).result()
        row = await app.webhooks.get(PROGRESS_ID)
        await settled(app, row)
        assert "orchestration.step.completed" in receiver.types("https://progress.example/")
        with pytest.raises(NotFoundError):
            await stranger.webhooks.get(PROGRESS_ID)

    podium(told)

    async def ended(app):
        await telling(app, Receiver())
        await a_while()
        row = await app.webhooks.get(PROGRESS_ID)
        assert (row.is_active, row.reason) == (False, "The setting is gone.")

    podium(ended)


def test_a_new_secret_signs_beside_the_old_one_for_a_day():
    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL, events=["orchestration.run.completed"])
        await app.webhooks.rotate(hook.webhook_id)
        await (await app.start(dag(QUICK))).result()
        await settled(app, hook)
        await a_while(25 * HOUR_S)
        await (await app.start(dag(QUICK))).result()
        await settled(app, hook)
        counts = [len(headers["webhook-signature"].split()) for _, _, headers, _ in receiver.sent]
        assert counts == [2, 1]

    play(scenario)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "http://127.0.0.1/"}, "PDM-R152"),
        ({"url": ""}, "PDM-R152"),
        ({"events": ["run.*"]}, "PDM-R153"),
        ({"events": ["orchestration.run.*"] * 33}, "PDM-R153"),
        ({"secret": "short"}, "PDM-R153"),
        ({"description": "a\0b"}, "PDM-R153"),
        ({"description": "a" * 501}, "PDM-R153"),
    ],
)
def test_a_webhook_that_cannot_be_is_not_made(change, code):
    async def scenario(app, receiver):
        with pytest.raises(RequestError, match=code):
            await app.webhooks.create(**({"url": URL} | change))
        assert await app.webhooks.list() == []

    play(scenario)


def test_an_organization_has_so_many_webhooks_and_no_more(monkeypatch):
    monkeypatch.setattr("podium.authoring.webhooks.WEBHOOKS_MAX", 2)

    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL)
        await app.webhooks.create_inbound(workflow="order")
        with pytest.raises(RequestError, match="PDM-R153"):
            await app.webhooks.create(URL)
        await app.webhooks.rotate(hook.webhook_id)
        await app.on_behalf_of("other").webhooks.create(URL)

    play(scenario)


def test_a_test_message_is_sent_once_and_signed():
    async def scenario(app, receiver):
        hook, _ = await app.webhooks.create(URL)
        assert (await app.webhooks.test(hook.webhook_id)).code == 200
        [(_, _, headers, body)] = receiver.sent
        assert json.loads(body)["type"] == "orchestration.webhook.test"
        assert headers["webhook-signature"].startswith("v1,")

    play(scenario)


def test_without_a_webhook_commits_are_not_read():
    async def scenario(app, receiver):
        run = await app.start(dag(GATE))
        await a_while(5)
        reads = app.engine.store.stats.reads
        for _ in range(3):
            await app.start(dag(QUICK))
        await a_while(5)
        assert (await run.status()).is_open
        return app.engine.store.stats.reads - reads

    assert play(scenario) <= VirtualPodium()(_reads_without)


async def _reads_without(app):
    run = await app.start(dag(GATE))
    await a_while(5)
    reads = app.engine.store.stats.reads
    for _ in range(3):
        await app.start(dag(QUICK))
    await a_while(5)
    assert (await run.status()).is_open
    return app.engine.store.stats.reads - reads
