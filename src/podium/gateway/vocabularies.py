"""The vocabularies of tokenizers that are on this machine; nothing is ever downloaded.

A vocabulary is used if its library is installed and its file is there. Where a library would
fetch a missing or damaged file by itself, the file is checked before the library is called.
"""

import hashlib
import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from podium.errors import RequestError

__all__ = ["Counting", "open_vocabulary", "vocabulary_of"]

Counting = Callable[[str], int]
"""Returns the exact number of tokens of a text."""

_OPENAI_MODELS: Final = (
    (re.compile(r"(chatgpt-4o|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|o[134])\b"), "o200k_base"),
    (re.compile(r"gpt-(4|3\.5)\b"), "cl100k_base"),
)
_TIKTOKEN_FILES: Final = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
"""SHA-256 of the files that tiktoken reads."""
_TIKTOKEN_PLACE: Final = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""Where the files come from; tiktoken names its copies by the SHA-1 of this text."""


def vocabulary_of(model: str) -> str:
    """Return the name of the vocabulary that a model is known to use; empty if none is."""
    for pattern, name in _OPENAI_MODELS:
        if pattern.match(model.rpartition("/")[2]):
            return name
    return ""


def open_vocabulary(name: str) -> Counting | None:
    """Return a counter for `o200k_base`, `cl100k_base` or the path of a `tokenizer.json`.

    None if the vocabulary is not on this machine: the package toktok-rs brings both OpenAI
    ones; tiktoken reads them from the folder in `TIKTOKEN_CACHE_DIR`. A path must exist
    (`RequestError` PDM-R074), and needs the package tokenizers.
    """
    if name not in _TIKTOKEN_FILES:
        return _from_file(Path(name))
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", "")
    return _from_toktok(name) or (_from_tiktoken(name, folder) if folder else None)


def _from_toktok(name: str) -> Counting | None:
    library = _library("toktok")
    if library is None:
        return None
    count = library.batch_count
    return lambda text: int(count((text,), name, 1)[0])


def _from_tiktoken(name: str, folder: str) -> Counting | None:
    copy = hashlib.sha1(_TIKTOKEN_PLACE.format(name).encode(), usedforsecurity=False).hexdigest()
    try:
        data = (Path(folder) / copy).read_bytes()
    except OSError:
        return None
    # tiktoken would delete a damaged copy and fetch a new one.
    if hashlib.sha256(data).hexdigest() != _TIKTOKEN_FILES[name]:
        return None
    library = _library("tiktoken")
    if library is None:
        return None
    encode = library.get_encoding(name).encode_ordinary
    return lambda text: len(encode(text))


def _from_file(path: Path) -> Counting:
    library = _library("tokenizers")
    if library is None or not path.is_file():
        raise RequestError(
            f"The tokenizer {str(path)!r} cannot be used.",
            why="There is no such file." if library else "The package tokenizers is missing.",
            fix="Name o200k_base, cl100k_base or a tokenizer.json, or leave the key out.",
            code="PDM-R074",
        )
    tokenizer = library.Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None
