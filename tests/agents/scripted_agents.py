"""A model that says what a test wants, and tools that tell what was done with them.

The script is indexed by how often the model has spoken in the conversation it is shown, so a
process that comes back after a crash goes on where the conversation is.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import podium
from podium.agents.tools import tool
from podium.app import AGENT_TOOLS
from podium.core.charges import Charge
from podium.errors import BudgetError
from podium.gateway.asking import Answer
from podium.ports.models import Finish, Message, Reply, Role, Text, TextPiece, ToolCall, Usage
from podium.runtime.secrets import Secrets
from podium.runtime.services import LazyModels, Services

Line = str | list[tuple[str, Any]] | Exception | Callable[[Any], Any]
"""What the model says: text, tool calls as (name, arguments), an error, or any of it by the ask."""

COST_NANO = 1_000_000
TOKENS = 100

done: list[Any] = []
"""What tools of the tests did, in order."""
keys: Counter[str] = Counter()
"""Idempotency keys under which something was written."""


gates: dict[str, asyncio.Event] = {}
"""What `post` waits for."""


def forget() -> None:
    done.clear()
    gates.clear()
    keys.clear()


class ScriptedGateway:
    """Speaks the gateway's language; see the module docstring."""

    def __init__(self, *lines: Line) -> None:
        self.lines = lines
        self.asks: list[Any] = []
        self.hold: asyncio.Event | None = None
        """Set: answers wait for it."""

    async def call(self, ask: Any, *, purse: Any, tell: Any = None) -> Any:
        self.asks.append(ask)
        if self.hold is not None:
            await self.hold.wait()
        hold = await purse.reserve(cost_nano=COST_NANO, tokens=TOKENS, model=ask.model)
        turn = sum(message.role is Role.ASSISTANT for message in ask.messages)
        line = self.lines[min(turn, len(self.lines) - 1)]
        line = line(ask) if callable(line) else line
        if isinstance(line, Exception):
            hold.release()
            raise line
        charge = Charge(
            key=ask.key, provider="fake", model=ask.model, input=TOKENS, cost_nano=COST_NANO
        )
        hold.settle(charge)
        reply = reply_of(line, turn)
        return Answer(reply=reply, charges=(charge,), model=ask.model)

    async def close(self) -> None:
        """Give nothing back: the same gateway serves the next process."""

    async def stream(self, ask: Any, *, purse: Any, tell: Any = None) -> Any:
        answer = await self.call(ask, purse=purse)
        for part in answer.reply.message.parts:
            if isinstance(part, Text):
                for word in part.text.split(" "):
                    yield TextPiece(text=word + " ")
        yield answer


def reply_of(line: Any, turn: int) -> Reply:
    if isinstance(line, Reply):
        return line
    if isinstance(line, str):
        parts: Any = (Text(text=line),)
    else:
        parts = tuple(
            ToolCall(id=f"call{turn}.{at}", name=name, arguments=arguments)
            for at, (name, arguments) in enumerate(line)
        )
    finish = Finish.STOP if isinstance(line, str) else Finish.TOOL_CALLS
    message = Message(role=Role.ASSISTANT, parts=parts)
    return Reply(message=message, finish=finish, usage=Usage(input=TOKENS))


def staff(app: Any, gateway: Any, *, secrets: tuple[str, ...] = ()) -> Any:
    """Give an app a gateway (None: no model is configured) and return the app."""
    services = Services(
        models=None if gateway is None else LazyModels(lambda: gateway),
        default_model="any",
        tools=AGENT_TOOLS,
        secrets=Secrets(secrets),
    )
    app.engine.registry.services = services
    return app


def broke(outcome: str) -> BudgetError:
    return BudgetError("Too little is left.", outcome=outcome, code="PDM-B001")


# -- tools -----------------------------------------------------------------------------------------


@tool(effect="read")
def look_up(word: str, times: int = 1) -> str:
    """Look a word up.

    The rest of the docstring is for people.
    """
    done.append(["look_up", word, times])
    return " ".join([f"{word} means {word}"] * times)


@tool(effect="write")
async def send(to: str, text: str = "") -> dict[str, str]:
    """Send a letter."""
    keys[podium.context().idempotency_key] += 1
    done.append(["send", to, text])
    return {"sent": to}


@tool(effect="read")
async def fetch(name: str) -> str:
    """Fetch something, slowly if the test wants to."""
    done.append(["fetch begins", name])
    if "fetch" in gates:
        await gates["fetch"].wait()
    done.append(["fetch ends", name])
    return name


@tool(effect="write")
async def post(to: str) -> str:
    """Post a letter, unless the test wants to die here."""
    done.append(["post begins", to])
    if "post" in gates:
        await gates["post"].wait()
    keys[podium.context().idempotency_key] += 1
    return f"posted to {to}"


def posted(to: str) -> str | None:
    """Tell whether a letter was posted; it was if the test says so."""
    done.append(["verified", to])
    return f"posted to {to}, it says" if "posted" in gates else None


@tool(effect="read")
def page(text: str = "") -> str:
    """Return what somebody outside wrote."""
    done.append(["page"])
    return text


@tool(effect="read")
def breaks(message: str = "no luck") -> str:
    done.append(["breaks"])
    raise ValueError(message)


def star(*words: str) -> str:
    return " ".join(words)


def rules(text: str = "") -> dict[str, str]:
    """Stand in for a model."""
    done.append(["rules", text])
    return {"risk": "unknown"}


async def rules_later(text: str = "") -> str:
    return f"by rule: {text}"
