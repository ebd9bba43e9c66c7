"""The language model that is asked: a server in a process of its own, and the settings for it."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

from podium.gateway.asking import Ask
from podium.ports.models import Message, Role, Text
from podium.settings import LlmSettings, ModelSettings, PriceSettings, ProviderSettings

__all__ = ["MODEL", "QUICK_MODEL", "llm_settings", "model_server", "question"]

SERVER: Final = Path(__file__).with_name("model_server.py")
MODEL: Final = "bench"
QUICK_MODEL: Final = "quick"
"""Answers at once, whatever the delay of the server."""
PRICE: Final = PriceSettings(input_per_mtok=Decimal(1), output_per_mtok=Decimal(2))


@contextmanager
def model_server(*, delay_s: float = 0.0, turns: int = 1) -> Generator[str]:
    """Start a server and give its address; it is killed at the end."""
    command = [sys.executable, "-P", str(SERVER), "--delay", str(delay_s), "--turns", str(turns)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    try:
        port = "" if process.stdout is None else process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the model server did not start")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate()


def llm_settings(url: str) -> LlmSettings:
    """Return settings with every limit declared, none of them low enough to be felt."""
    models = {
        name: ModelSettings(
            provider="bench",
            context_window=128_000,
            max_output=16_000,
            price=PRICE,
            rpm=10_000_000,
            tpm=10_000_000_000,
            concurrency=10_000,
        )
        for name in (MODEL, QUICK_MODEL)
    }
    provider = ProviderSettings(kind="openai", base_url=url)
    return LlmSettings(providers={"bench": provider}, models=models, default=MODEL)


def question() -> Ask:
    """Return about a kilobyte of question; peers ask the same."""
    words = ((Role.SYSTEM, "You judge changes. " * 20), (Role.USER, "Is this change safe? " * 30))
    messages = tuple(Message(role=role, parts=(Text(text=text),)) for role, text in words)
    return Ask(model=MODEL, messages=messages, max_tokens=100)
