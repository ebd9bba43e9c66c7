"""A provider of language models for tests: real HTTP, real token counts, no internet, no cost."""

from podium.testing.llm.asked import Asked
from podium.testing.llm.bill import Bill, Line, Prices
from podium.testing.llm.clock import ManualClock
from podium.testing.llm.faults import Fault
from podium.testing.llm.limits import Limits
from podium.testing.llm.models import MODELS, StubModel
from podium.testing.llm.recording import RecordedCallMissing, Tape, record, replay
from podium.testing.llm.script import Call, Say
from podium.testing.llm.stub import ModelStub
from podium.testing.llm.visit import Seen

__all__ = [
    "MODELS",
    "Asked",
    "Bill",
    "Call",
    "Fault",
    "Limits",
    "Line",
    "ManualClock",
    "ModelStub",
    "Prices",
    "RecordedCallMissing",
    "Say",
    "Seen",
    "StubModel",
    "Tape",
    "record",
    "replay",
]
