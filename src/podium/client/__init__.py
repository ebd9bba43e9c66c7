"""A podium server from afar: the verbs of `App` over HTTP, for programs with and without a loop.

    from podium.client import Client

    with Client("http://127.0.0.1:8470", key="sk_…") as podium:
        run = podium.start("review", input={"path": "src"})
        print(run.result())

Answers are typed, errors are those of `podium.errors`. Needs the extra `podium[http]`.
"""

from podium.client.asynchronous import AsyncClient, AsyncRunHandle
from podium.client.calls import Call
from podium.client.synchronous import Client, RunHandle
from podium.client.tries import Tries

__all__ = ["AsyncClient", "AsyncRunHandle", "Call", "Client", "RunHandle", "Tries"]
