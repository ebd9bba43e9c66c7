"""The steps around the clerk: functions of JSON values that may run again after a crash."""

import json
from pathlib import Path
from typing import Any, Final, TypedDict

__all__ = ["Draft", "Read", "Sent", "draft", "read", "send"]

_SAMPLE: Final = Path(__file__).resolve().parent.parent / "data" / "letters.json"


class Read(TypedDict):
    """The letters, and the absolute path of the outbox."""

    target: str
    letters: list[dict[str, str]]


class Draft(TypedDict):
    """What a person is shown before anything is sent."""

    target: str
    mode: str
    cost_usd: float
    answers: list[dict[str, Any]]


class Sent(TypedDict):
    """The output of the run."""

    target: str
    mode: str
    cost_usd: float
    sent: int
    for_people: list[str]


def read(letters: str = "", target: str = "answers.json") -> Read:
    """Read all letters. The path is made absolute, so the run can continue elsewhere."""
    path = Path(letters) if letters else _SAMPLE
    return Read(
        target=str(Path(target).resolve()), letters=json.loads(path.read_text(encoding="utf-8"))
    )


def draft(read: Read, answers: list[dict[str, Any]]) -> Draft:
    """Put letters and answers side by side, with who answered and what it cost."""
    pairs = zip(read["letters"], answers, strict=True)
    modes = {each["mode"] for each in answers}
    return Draft(
        target=read["target"],
        mode="+".join(sorted(modes)),
        cost_usd=round(sum(each["cost_usd"] for each in answers), 6),
        answers=[
            {"id": letter["id"], "to": letter["from"], "mode": each["mode"], **each["result"]}
            for letter, each in pairs
        ],
    )


def send(draft: Draft) -> Sent:
    """Write the outbox in one move: whole, or not at all."""
    target = Path(draft["target"])
    beside = target.with_name(target.name + ".part")
    beside.write_text(json.dumps(draft["answers"], indent=2) + "\n", encoding="utf-8")
    beside.replace(target)
    return Sent(
        target=draft["target"],
        mode=draft["mode"],
        cost_usd=draft["cost_usd"],
        sent=len(draft["answers"]),
        for_people=[each["id"] for each in draft["answers"] if each["needs_person"]],
    )
