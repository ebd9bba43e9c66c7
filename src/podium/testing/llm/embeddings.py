"""OpenAI Embeddings: vectors that are alike where texts share words, and the same everywhere."""

import base64
import hashlib
import math
import re
import struct
from typing import Any, Final

from podium.testing.llm.asked import Refusal
from podium.testing.llm.models import StubModel
from podium.testing.llm.openai_account import invalid
from podium.testing.llm.tokens import tokenizer

__all__ = ["embed", "read_texts", "vector"]

TEXTS_MAX: Final = 2_048
WORD: Final = re.compile(r"\w+")
PLACES_PER_WORD: Final = 8


def read_texts(body: dict[str, Any], model: StubModel) -> list[str]:
    """Return the texts of a request; raises `Refusal` for what the provider does not accept."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or len(texts) > TEXTS_MAX:
        raise refused_input()
    for text in texts:
        if not isinstance(text, str) or not text:
            raise refused_input()
        tokens = tokenizer().count([text])
        if tokens > model.window:
            raise invalid(
                f"This model's maximum context length is {model.window} tokens, however you "
                f"requested {tokens} tokens. Please reduce your prompt.",
                param="input",
                code="context_length_exceeded",
            )
    return texts


def refused_input() -> Refusal:
    """Return the refusal of an input that is no text."""
    return invalid("'$.input' is invalid. Please check the API reference.", param="input")


def embed(body: dict[str, Any], texts: list[str], model: StubModel) -> dict[str, Any]:
    """Return the answer: one vector for each text."""
    length = body.get("dimensions") or model.dimensions
    if not 1 <= length <= model.dimensions:
        raise invalid(
            f"Invalid value for 'dimensions' = {length}. Must be between 1 and {model.dimensions}.",
            param="dimensions",
        )
    in_bytes = body.get("encoding_format") == "base64"
    tokens = tokenizer().count(texts)
    data = [
        {"object": "embedding", "index": i, "embedding": packed(numbers) if in_bytes else numbers}
        for i, numbers in enumerate(vector(text, length) for text in texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model.name, "usage": usage}


def vector(text: str, length: int) -> list[float]:
    """Return the words of a text as a direction: each word points the same way every time."""
    numbers = [0.0] * length
    for word in WORD.findall(text.lower()) or [text]:
        seed = hashlib.blake2b(word.encode(), digest_size=4 * PLACES_PER_WORD).digest()
        for place in struct.unpack(f"<{PLACES_PER_WORD}I", seed):
            numbers[(place >> 1) % length] += 1.0 if place & 1 else -1.0
    norm = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / norm for number in numbers]


def packed(numbers: list[float]) -> str:
    """Return a vector as base64 of little-endian floats, as the official client asks for it."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
