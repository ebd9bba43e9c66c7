"""`uses: shell`: a program with arguments, never a command line for a shell to interpret."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from podium.errors import RequestError, TaskError

__all__ = ["run_shell"]

OUTPUT_MAX: Final = 1 << 20
KILL_AFTER_S: Final = 5.0
PROGRAMS_MAX: Final = 64
"""Programs that run at once in one process; each occupies a thread that reads its pipes."""

_WAITERS: Final = ThreadPoolExecutor(PROGRAMS_MAX, thread_name_prefix="podium-shell")


async def run_shell(
    command: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
) -> dict[str, Any]:
    """Run `command` and return `{exit_code, stdout, stderr}`, each text cut at 1 MiB.

    A non-zero exit fails the attempt unless `check` is false. When the attempt is cancelled the
    program and everything it started gets SIGTERM, and SIGKILL five seconds later.
    """
    if isinstance(command, str) or not command:
        raise RequestError(
            "`command` must be a list: the program and its arguments.",
            why="Text would need a shell, and a shell would interpret what is in the data.",
            fix='Write `command: ["git", "status"]`.',
            code="PDM-R050",
        )
    process = _spawn([str(part) for part in command], cwd, env)
    loop = asyncio.get_running_loop()
    try:
        out, err = await loop.run_in_executor(_WAITERS, process.communicate, stdin.encode())
    except asyncio.CancelledError:
        await loop.run_in_executor(_WAITERS, _terminate, process)
        raise
    result = {
        "exit_code": process.returncode,
        "stdout": out[:OUTPUT_MAX].decode(errors="replace"),
        "stderr": err[:OUTPUT_MAX].decode(errors="replace"),
    }
    if check and process.returncode:
        lines = str(result["stderr"]).strip().splitlines()
        raise TaskError(
            f"{command[0]} exited with {process.returncode}: {lines[-1] if lines else ''}",
            kind="ExitError",
        )
    return result


def _spawn(
    command: list[str], cwd: str | None, env: Mapping[str, str] | None
) -> "subprocess.Popen[bytes]":
    """Start a program in a process group of its own.

    At once and not through the event loop: a cancellation that arrives between fork and answer
    would leave a program behind that nobody knows.
    """
    try:
        return subprocess.Popen(  # noqa: S603 - a list, never a shell
            command,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise RequestError(
            f"The program {command[0]!r} cannot be run.",
            why=str(error),
            fix="Install it, or name it with its full path.",
            code="PDM-R051",
        ) from error


def _terminate(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # Nobody may have begun to read them: a cancelled job of a busy pool never starts.
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError, ValueError):
                pipe.close()
