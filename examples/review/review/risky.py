"""The reviewer for risk: calls and statements that are dangerous wherever they appear.

Each rule is chosen to be right nearly always: a reviewer that cries wolf is switched off.
"""

import itertools
from collections.abc import Iterator

from .calls import call_hits
from .credentials import secret_hits
from .findings import FileEntry, Hit, Review
from .reviewer import review
from .statements import statement_hits
from .tree import Module

__all__ = ["risky"]


def risky(file: FileEntry) -> Review:
    """Review one file for risky calls and statements."""
    return review(file, reviewer="risky", rules=_rules)


def _rules(module: Module) -> Iterator[Hit]:
    return itertools.chain(call_hits(module), statement_hits(module), secret_hits(module))
