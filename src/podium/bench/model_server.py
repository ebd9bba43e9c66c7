"""A language model that costs nothing to ask: Chat Completions over HTTP, in a process of its own.

    python model_server.py --delay 2 --turns 3

Standard library only: peers start it with their own interpreter. It prints its port, answers
until it is killed, and does as little as it can, because it shares the machine with what is
measured. The first `--turns` less one answers of a conversation ask for the tool `look_up`.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

__all__ = ["main"]

Json = Any

QUICK = b'"model":"quick"'
"""Requests for this model are answered at once."""


def answer(turn: int, turns: int) -> bytes:
    """Return the answer to a conversation in which the model has spoken `turn` times."""
    said: dict[str, Json] = {"role": "assistant", "content": "It is done."}
    if turn + 1 < turns:
        arguments = json.dumps({"word": f"word{turn}"})
        function = {"name": "look_up", "arguments": arguments}
        call = {"id": f"call_{turn}", "type": "function", "function": function}
        said = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {
        "index": 0,
        "message": said,
        "finish_reason": "tool_calls" if "tool_calls" in said else "stop",
    }
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "bench",
        "choices": [choice],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
    data = json.dumps(body).encode()
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req-bench\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, answers: list[bytes], delay_s: float) -> None:
        self._answers = answers
        self._delay_s = delay_s
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        reply = self._answers[min(_spoken(body), len(self._answers) - 1)]
        if self._delay_s and QUICK not in body:
            asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, reply)
        else:
            self._transport.write(reply)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def _spoken(body: bytes) -> int:
    """Return how often the model has spoken; nobody else says these words here."""
    return body.count(b'"role":"assistant"')


async def serve(delay_s: float, turns: int) -> None:
    """Print the port and answer for ever."""
    answers = [answer(turn, turns) for turn in range(turns)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(answers, delay_s), "127.0.0.1", 0, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="model_server")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--turns", type=int, default=1, help="how often a conversation is answered")
    chosen = parser.parse_args(arguments)
    asyncio.run(serve(chosen.delay, chosen.turns))


if __name__ == "__main__":
    main(sys.argv[1:])
