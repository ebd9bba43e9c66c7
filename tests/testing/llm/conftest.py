"""Talking to a stub in plain HTTP: what is asserted is what went over the wire."""

import json
from collections.abc import Iterator
from typing import Any, Self

import httpx2
import pytest

from podium.testing.llm import ModelStub

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


class Wire:
    """A client that adds nothing."""

    def __init__(self, stub: ModelStub) -> None:
        self.stub = stub
        self.http = httpx2.Client(base_url=stub.base_url, timeout=20, verify=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def post(
        self, path: str, body: Any, *, key: str = "", account: str | None = None
    ) -> httpx2.Response:
        return self.http.post(path, json=body, headers=self.headers(key, account))

    def headers(self, key: str = "", account: str | None = None) -> dict[str, str]:
        api_key = self.stub.api_key if account is None else account
        headers = {"x-api-key": api_key, "anthropic-version": "2023-06-01"}
        headers |= {"authorization": f"Bearer {api_key}"} if api_key else {}
        return headers | ({"idempotency-key": key} if key else {})

    def chat(self, content: str = "Hello", *, key: str = "", **options: Any) -> httpx2.Response:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}]}
        return self.post(CHAT, body | options, key=key)

    def say(self, content: str = "Hello", **options: Any) -> str:
        text: str = self.chat(content, **options).json()["choices"][0]["message"]["content"]
        return text

    def claude(self, content: str = "Hello", **options: Any) -> httpx2.Response:
        messages = [{"role": "user", "content": content}]
        body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages}
        return self.post(MESSAGES, body | options)

    def events(self, path: str, body: Any, *, key: str = "") -> list[Any]:
        response = self.post(path, body | {"stream": True}, key=key)
        assert response.status_code == 200, response.text
        return events_of(response.text)


def events_of(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data:")]
    return [json.loads(line) if line.startswith("{") else line for line in lines]


@pytest.fixture
def stub(model_stub: ModelStub) -> ModelStub:
    return model_stub


@pytest.fixture
def wire(stub: ModelStub) -> Iterator[Wire]:
    with Wire(stub) as found:
        yield found


@pytest.fixture
def talk() -> type[Wire]:
    """Return what talks to a stub the test makes itself."""
    return Wire
