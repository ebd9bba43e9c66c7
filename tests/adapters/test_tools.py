"""The built-in `uses:` that reach outside: programs and HTTP, against real ones."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from podium.adapters.tools.http import HttpError, HttpRefused, run_http
from podium.adapters.tools.shell import run_shell
from podium.errors import RequestError, TaskError

Answer = Callable[[str], bytes]


def reply(status: str, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(answer(head))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()[:2]
    async with listening:
        yield f"http://{host}:{port}/thing"


async def ask(answer: Answer, **options: object) -> dict[str, object]:
    async with server(answer) as url:
        return await run_http(url, **options)  # type: ignore[arg-type]


def test_a_json_answer_is_decoded() -> None:
    result = asyncio.run(
        ask(lambda _head: reply("200 OK", '{"a": 1}', Content_Type="application/json"))
    )
    assert (result["status"], result["body"]) == (200, {"a": 1})


def test_a_server_error_is_retried_no_sooner_than_it_asks() -> None:
    with pytest.raises(HttpError) as caught:
        asyncio.run(ask(lambda _head: reply("503 Busy", Retry_After="7")))
    assert caught.value.retry_after == 7.0


def test_a_retry_date_counts_from_the_clock_of_the_server() -> None:
    times = {
        "Date": "Sat, 21 Nov 2026 10:00:00 GMT",
        "Retry_After": "Sat, 21 Nov 2026 10:00:30 GMT",
    }
    with pytest.raises(HttpError) as caught:
        asyncio.run(ask(lambda _head: reply("429 Slow", **times)))
    assert caught.value.retry_after == 30.0


def test_a_refusal_is_final() -> None:
    with pytest.raises(HttpRefused):
        asyncio.run(ask(lambda _head: reply("404 Not Found")))


def test_a_refusal_is_a_result_when_nobody_checks() -> None:
    result = asyncio.run(ask(lambda _head: reply("404 Not Found"), check=False))
    assert result["status"] == 404


def test_redirects_are_not_followed() -> None:
    answer = reply("302 Found", Location="http://127.0.0.1:1/")
    result = asyncio.run(ask(lambda _head: answer))
    assert result["status"] == 302


def test_a_program_gives_its_output() -> None:
    result = asyncio.run(run_shell(["sh", "-c", "cat; echo $WHO"], env={"WHO": "me"}, stdin="hi "))
    assert result == {"exit_code": 0, "stdout": "hi me\n", "stderr": ""}


def test_a_program_that_fails_says_so_with_its_last_words() -> None:
    with pytest.raises(TaskError, match="exited with 3: too bad"):
        asyncio.run(run_shell(["sh", "-c", "echo too bad >&2; exit 3"]))


def test_a_command_line_as_text_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        asyncio.run(run_shell("rm -rf /"))
    assert caught.value.code == "PDM-R050"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(RequestError, match="no-such-program"):
        asyncio.run(run_shell(["no-such-program"]))


def test_cancelling_ends_the_program_and_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    async def cancel_soon() -> None:
        script = f"sleep 60 & echo $! > {pid_file}; wait"
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run_shell(["sh", "-c", script]))
            while not pid_file.exists() or not pid_file.read_text().strip():  # noqa: ASYNC110
                await asyncio.sleep(0)
            task.cancel()

    asyncio.run(cancel_soon())
    # A killed process ends when the system gets round to it.
    over_at = time.monotonic() + 10
    while not has_ended(pid_file.read_text().strip()):
        assert time.monotonic() < over_at


def has_ended(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except (FileNotFoundError, ProcessLookupError):
        return True
    # A zombie has ended; who reaps it is not our business.
    return status.startswith("Z")
