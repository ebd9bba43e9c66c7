"""What attempts print and log is kept with their run: bounded, in order, without secrets."""

import asyncio
import io
import logging
import sys
import threading
from contextlib import contextmanager

import pytest

import podium
from podium.app import connect
from podium.errors import NotFoundError, StoreError
from podium.runtime import logbook
from podium.runtime.capture import send_output_to
from podium.runtime.logbook import Logbook
from podium.runtime.secrets import Secrets
from podium.settings import Settings

log = logging.getLogger("tests.app")
log.setLevel(logging.INFO)
say = print


@podium.task(max_retries=1, retry_delay=0)
async def talks(name: str) -> str:
    say("printed by", name)
    say("begun ", end="")
    say("and ended")
    log.info("logged by %s", name)
    log.debug("not wanted")
    return name


@podium.task(max_retries=0)
def talks_in_a_thread(name: str) -> str:
    say(name)
    say("err", file=sys.stderr)
    return name


@podium.task(max_retries=1, retry_delay=0)
async def fails_once() -> int:
    number = podium.context().attempt
    log.warning("attempt %s", number)
    if number == 1:
        raise ValueError("no")
    try:
        {}["inner"]
    except KeyError:
        log.exception("met")
    return number


@podium.task(max_retries=0)
async def leaks() -> str:
    say("the key is sk-test-0123456789")
    log.info("c2stdGVzdC0wMTIzNDU2Nzg5")
    return "done"


@podium.task(max_retries=0)
async def talks_without_end() -> None:
    for number in range(logbook.LINES_MAX + 50):
        say(number)


@podium.task(max_retries=0)
async def writes_what_no_store_takes() -> None:
    log.info("a\0b\ud800c")
    say("x" * (logbook.LINE_MAX * 2))


@podium.workflow
async def two_speakers(name: str) -> None:
    await podium.gather(talks(name), talks_in_a_thread("thread " + name))


@podium.workflow
async def one_that_fails() -> None:
    await fails_once()


@podium.workflow
async def leaky() -> None:
    await leaks()


@podium.workflow
async def prints_a_lot() -> None:
    await talks_without_end()


@podium.workflow
async def odd() -> None:
    await writes_what_no_store_takes()


@pytest.fixture
def settings(tmp_path):
    return Settings(database_url=f"sqlite:///{tmp_path}/podium.db")


async def lines_of(app, handle):
    """Return the lines of a run that has ended, once they are kept."""
    await handle.result()
    await app.engine.registry.services.logbook.flush()
    return await app.logs.of(handle.id, limit=10_000)


def texts(lines, level=None):
    return [line.text for line in lines if level in (None, line.level)]


@contextmanager
def unseen_by_the_runner():
    """Keep log lines from the runner of the tests: it cannot pass on half a character."""
    root = logging.getLogger()
    handlers = [each for each in root.handlers if type(each).__module__.startswith("_pytest")]
    for handler in handlers:
        root.removeHandler(handler)
    yield
    for handler in handlers:
        root.addHandler(handler)


def asynchronous(test):
    def run(settings, capsys):
        asyncio.run(test(settings, capsys))

    return run


@asynchronous
async def test_what_is_printed_and_logged_stays_with_its_step_and_is_printed_still(
    settings, capsys
):
    async with connect(settings=settings) as app:
        lines = await lines_of(app, await app.start(two_speakers, input="ada"))
    of_talks = [line for line in lines if line.step == "gather.0/talks"]
    assert texts(of_talks) == ["printed by ada", "begun and ended", "logged by ada"]
    assert [(x.level, x.source, x.attempt) for x in of_talks] == [
        ("stdout", "", 1),
        ("stdout", "", 1),
        ("info", "tests.app", 1),
    ]
    in_thread = [line for line in lines if line.step == "gather.1/talks_in_a_thread"]
    assert sorted(texts(in_thread)) == ["err", "thread ada"]
    shown = capsys.readouterr()
    assert "printed by ada\nbegun and ended\n" in shown.out
    assert shown.err == "err\n"


@asynchronous
async def test_each_attempt_has_its_own_lines_with_tracebacks(settings, capsys):
    async with connect(settings=settings) as app:
        lines = await lines_of(app, await app.start(one_that_fails))
    assert [line.attempt for line in lines if line.text.startswith("attempt")] == [1, 2]
    assert "KeyError: 'inner'" in texts(lines)
    assert {line.level for line in lines if line.attempt == 1} == {"warn"}


@asynchronous
async def test_runs_at_the_same_time_do_not_mix(settings, capsys):
    async with connect(settings=settings) as app:
        names = [str(number) for number in range(20)]
        handles = [await app.start(two_speakers, input=name) for name in names]
        for name, handle in zip(names, handles, strict=True):
            found = texts(await lines_of(app, handle))
            expected = ["printed by " + name, "begun and ended", "logged by " + name]
            assert sorted(found) == sorted([*expected, "thread " + name, "err"])


def test_secrets_never_reach_the_store(settings, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")

    async def work():
        async with connect(settings=settings) as app:
            return await lines_of(app, await app.start(leaky))

    assert texts(asyncio.run(work())) == ["the key is [secret]", "[secret]"]


@asynchronous
async def test_an_attempt_that_writes_without_end_is_cut_off_with_a_word(settings, capsys):
    async with connect(settings=settings) as app:
        lines = await lines_of(app, await app.start(prints_a_lot))
    assert len(lines) == logbook.LINES_MAX + 1
    assert "more than is kept" in lines[-1].text


@asynchronous
async def test_text_that_no_store_takes_is_mended(settings, capsys):
    with unseen_by_the_runner():
        async with connect(settings=settings) as app:
            first, second = texts(await lines_of(app, await app.start(odd)))
    assert first == "a\ufffdb?c"
    assert (len(second), second[-1]) == (logbook.LINE_MAX, "…")


@asynchronous
async def test_a_follower_gets_every_line_once_and_stops_at_the_end(settings, capsys):
    async with connect(settings=settings) as app:
        handle = await app.start(two_speakers, input="ada")
        found = [line async for lines in app.logs.follow(handle.id) for line in lines]
    assert len(found) == 5
    assert [line.number for line in found] == sorted({line.number for line in found})


@asynchronous
async def test_what_was_written_last_is_kept_when_the_process_leaves(settings, capsys):
    async with connect(settings=settings) as app:
        handle = await app.start(two_speakers, input="ada")
        await handle.result()
    async with connect(settings=settings) as app:
        assert len(await app.logs.of(handle.id)) == 5


@asynchronous
async def test_lines_of_an_unknown_run_are_not_found(settings, capsys):
    async with connect(settings=settings) as app:
        with pytest.raises(NotFoundError):
            await app.logs.of("run_00000999")


def test_nothing_is_left_behind_when_the_engine_is_gone(settings):
    before = sys.stdout, sys.stderr, logging.getLogRecordFactory()

    async def work():
        async with connect(settings=settings), connect(settings=settings):
            assert sys.stdout is not before[0]

    asyncio.run(work())
    assert (sys.stdout, sys.stderr, logging.getLogRecordFactory()) == before


def test_nobody_listens_if_the_settings_say_so(settings):
    before = sys.stdout

    async def work():
        quiet = Settings(database_url=settings.database_url, capture_logs=False)
        async with connect(settings=quiet) as app:
            assert sys.stdout is before
            handle = await app.start(two_speakers, input="ada")
            await handle.result()
            return await app.logs.of(handle.id)

    assert asyncio.run(work()) == []


def test_what_attempts_print_can_be_sent_elsewhere(settings, capsys):
    other = io.StringIO()
    send_output_to(other)

    async def work():
        async with connect(settings=settings) as app:
            await (await app.start(two_speakers, input="ada")).result()

    try:
        asyncio.run(work())
    finally:
        send_output_to(None)
    assert "printed by ada" in other.getvalue()
    assert capsys.readouterr().out == ""


class Refusing:
    """A store that takes no lines."""

    def __init__(self):
        self.tries = 0

    def now_us(self):
        return 1

    async def write_logs(self, lines):
        self.tries += 1
        raise StoreError("full")


def test_a_store_that_refuses_lines_ends_nothing(caplog):
    async def work():
        book, store = Logbook(Secrets()), Refusing()
        book.open(store)
        book.write(("run_00000001", "a", 1), "info", "x", "text")
        await book.close()
        return store.tries

    assert asyncio.run(work()) == 1
    assert "lines.lost" in caplog.text


def test_lines_that_nobody_takes_are_bounded(monkeypatch):
    monkeypatch.setattr(logbook, "PENDING_MAX", 10)
    book = Logbook(Secrets())
    threads = [
        threading.Thread(target=book.print, args=(("run_00000001", "a", n), "stdout", "x\n" * 10))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(book._pending) == 10
