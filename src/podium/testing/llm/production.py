"""What the model produces for a request, in tokens; and how much of it a broken stream carried."""

from typing import Final

from podium.ports.models import Finish, ToolCall, Usage
from podium.testing.llm.asked import Asked
from podium.testing.llm.dialect import Chunk, Outcome, Source
from podium.testing.llm.jsons import compact
from podium.testing.llm.script import Call, Say
from podium.testing.llm.tokens import tokenizer

__all__ = ["Meter", "produce"]

ENDLESS: Final = 1 << 40


def produce(say: Say, asked: Asked, *, prompt: int, request_id: str, at: float) -> Outcome:
    """Turn what the script says into an answer with usage, cut at the limit of the request."""
    counted = tokenizer()
    stem = request_id.replace("req", "toolu" if asked.dialect == "anthropic" else "call")
    calls = tuple(tool_call(call, f"{stem}_{i}") for i, call in enumerate(say.calls))
    text, stop = stopped(say.text, asked.stop)
    thinking = shown_and_hidden(say)
    answer = counted.count(words(text, calls))
    finish = say.finish or (Finish.TOOL_CALLS if calls else Finish.STOP)
    room = ENDLESS if asked.max_tokens is None else asked.max_tokens
    if thinking + answer > room:
        thinking = min(thinking, room)
        text, calls = shortened(text, calls, room - thinking)
        finish, stop, answer = Finish.LENGTH, "", counted.count(words(text, calls))
    cached = min(say.cached, prompt)
    cache_write = min(say.cache_write, prompt - cached)
    return Outcome(
        request_id=request_id,
        at=at,
        thinking=counted.keep(say.thinking, thinking),
        text=text,
        calls=calls,
        finish=finish,
        stop=stop,
        usage=Usage(
            input=prompt - cached - cache_write,
            cached=cached,
            cache_write=cache_write,
            output=answer,
            thinking=thinking,
        ),
    )


def tool_call(call: Call, call_id: str) -> ToolCall:
    """Return a call with its arguments as text."""
    return ToolCall(id=call_id, name=call.name, raw=call.raw or compact(call.arguments))


def stopped(text: str, stops: tuple[str, ...]) -> tuple[str, str]:
    """Return a text up to the first stop sequence, and which one that was."""
    found = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, ""
    place, stop = min(found)
    return text[:place], stop


def shown_and_hidden(say: Say) -> int:
    """Return the tokens of thinking, also of what is not shown."""
    shown = tokenizer().count([say.thinking]) if say.thinking else 0
    return shown if say.thinking_tokens is None else max(shown, say.thinking_tokens)


def words(text: str, calls: tuple[ToolCall, ...]) -> list[str]:
    """Return the texts that count as output."""
    return [text, *(part for call in calls for part in (call.name, call.raw))]


def shortened(
    text: str, calls: tuple[ToolCall, ...], room: int
) -> tuple[str, tuple[ToolCall, ...]]:
    """Return what fits into `room` tokens: the text first, then one call after the other."""
    counted = tokenizer()
    text = counted.keep(text, room)
    room -= counted.count([text])
    kept = []
    for call in calls:
        left = room - counted.count([call.name])
        if left <= 0:
            break
        raw = counted.keep(call.raw, left)
        room = left - counted.count([raw])
        kept.append(ToolCall(id=call.id, name=call.name, raw=raw))
    return text, tuple(kept)


class Meter:
    """Counts what a stream has carried, as whoever received it would count it."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._heard: dict[Source, list[str]] = {}

    def add(self, chunk: Chunk) -> None:
        """Count a chunk that went out."""
        if chunk.text:
            self._heard.setdefault(chunk.source, []).append(chunk.text)

    def usage(self) -> Usage:
        """Return the usage to bill: the prompt, and what was produced of the answer."""
        texts = {source: "".join(parts) for source, parts in self._heard.items()}
        thinking = texts.pop(("thinking", 0), "")
        whole = self._outcome.usage
        is_thought = thinking == self._outcome.thinking
        return Usage(
            input=whole.input,
            cached=whole.cached,
            cache_write=whole.cache_write,
            output=tokenizer().count(texts.values()),
            thinking=whole.thinking if is_thought else tokenizer().count([thinking]),
        )
