"""What stands in for the clerk where no model answers: rules of thumb, the same every time."""

from typing import Final, TypedDict

__all__ = ["Answer", "answer"]

_TOPICS: Final = {"delivery": ("come", "sent", "wait"), "refund": ("money", "refund", "back")}


class Answer(TypedDict):
    """What the clerk says to one letter; the shape of agents/answer.json."""

    answer: str
    topic: str
    needs_person: bool


def answer(letter: dict[str, str]) -> Answer:
    """Thank for the letter, sort it, and leave the rest to a person."""
    words = letter["text"].lower()
    topic = "account" if "password" in words else "other"
    for name, signs in _TOPICS.items():
        if topic == "other" and any(sign in words for sign in signs):
            topic = name
    return Answer(
        answer="Thank you for your letter. A colleague will answer it today.",
        topic=topic,
        needs_person=True,
    )
