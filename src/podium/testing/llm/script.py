"""What the model says: rules of a test, tried in order, and a dull answer where there are none."""

import inspect
import re
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import msgspec

from podium.ports.models import Finish
from podium.testing.llm.asked import Asked, Refusal, Why
from podium.testing.llm.jsons import compact, smallest

__all__ = ["Answer", "Call", "Say", "Script", "When"]


class Call(msgspec.Struct, frozen=True):
    """The model asks for a tool: `Call("read_file", {"path": "a.py"})`."""

    name: str
    arguments: Any = msgspec.field(default_factory=dict[str, Any])
    raw: str = ""
    """Text instead of the arguments, to send what is not JSON."""


class Say(msgspec.Struct, frozen=True):
    """One answer of the model; what is left out, the stub works out."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    thinking_tokens: int | None = None
    """None: as many as `thinking` has; more than that is thinking that is not shown."""
    cached: int = 0
    """How many tokens of the prompt the provider says it had in its cache."""
    cache_write: int = 0
    """How many it says it wrote there."""
    finish: Finish | None = None


Answer = str | Say | Call | dict[str, Any] | list[Any] | tuple[Any, ...]
"""Words; a whole answer; a tool call; a value that is sent as JSON; several tool calls."""
When = str | re.Pattern[str] | Callable[[Asked], bool]
"""A part of the last user text, a pattern found in it, or a question about the request."""


class Rule:
    """Answers of one kind of request, one after another; the only one is said again and again."""

    def __init__(
        self, answers: Sequence[Any], when: When | None, model: str, times: int | None
    ) -> None:
        self._answers = answers
        self._when = when
        self._model = model
        self._times = times
        self._said = 0

    @property
    def is_spent(self) -> bool:
        """Return whether it has nothing left to say."""
        return self._times is not None and self._said >= self._times

    @property
    def left(self) -> int:
        """Return how many answers must still be asked for."""
        return 0 if self._times is None else self._times - self._said

    def fits(self, asked: Asked) -> bool:
        """Return whether it has an answer to this request."""
        if self.is_spent or self._model not in ("", asked.model):
            return False
        if self._when is None:
            return True
        if isinstance(self._when, str):
            return self._when in asked.text
        if isinstance(self._when, re.Pattern):
            return self._when.search(asked.text) is not None
        return self._when(asked)

    def take(self) -> Any:
        """Return the next answer."""
        answer = self._answers[self._said % len(self._answers)]
        self._said += 1
        return answer


class Script:
    """All rules of one stub; safe to extend while the stub answers."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = Lock()

    def add(
        self, answers: Sequence[Any], *, when: When | None, model: str, times: int | None
    ) -> None:
        """Add a rule behind the others."""
        with self._lock:
            self._rules.append(Rule(answers, when, model, times))

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._rules.clear()

    @property
    def left(self) -> int:
        """Return how many listed answers nobody has asked for."""
        return sum(rule.left for rule in self._rules)

    async def answer(self, asked: Asked) -> Say:
        """Return what the model says; raises `Refusal` if there are rules and none fits."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.fits(asked)), None)
            if rule is None and self._rules:
                raise Refusal(
                    Why.INVALID,
                    f"The script of this stub has no answer to {asked.text[:200]!r}.",
                    code="script_has_no_answer",
                )
            answer = dull(asked) if rule is None else rule.take()
        return as_say(await called(answer, asked) if callable(answer) else answer)


async def called(answer: Callable[[Asked], Any], asked: Asked) -> Any:
    """Ask a test's function, which may be async, what the model says."""
    try:
        said = answer(asked)
        return await said if inspect.isawaitable(said) else said
    except Exception as error:
        # A test's own mistake: told to the client, who would else see a closed connection.
        told = f"The script of this stub raised {error!r}."
        raise Refusal(Why.INVALID, told, code="script_raised") from error


def as_say(answer: Any) -> Say:
    """Turn the short forms of an answer into the whole."""
    if isinstance(answer, Say):
        return answer
    if isinstance(answer, str):
        return Say(answer)
    if isinstance(answer, Call):
        return Say(calls=(answer,))
    if isinstance(answer, list | tuple) and answer and isinstance(answer[0], Call):
        return Say(calls=tuple(answer))
    return Say(compact(answer))


def dull(asked: Asked) -> Say:
    """Return the smallest answer that obeys the request."""
    if asked.schema is not None:
        return Say(compact(smallest(asked.schema)))
    wanted = asked.tool_choice
    if asked.tools and wanted not in ("auto", "none"):
        named = [tool for tool in asked.tools if tool.name == wanted]
        tool = (named or list(asked.tools))[0]
        return Say(calls=(Call(tool.name, smallest(tool.parameters) or {}),))
    return Say("This is the answer of a stub.")
