"""Whether and when a request is sent again: the same for both clients."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from podium.errors import PodiumError

__all__ = ["Tries"]

DELAY_FIRST_S: Final = 0.2
DELAY_MAX_S: Final = 10.0
REFUSED: Final = 429
PASSING: Final = (REFUSED, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Tries:
    """How often one request is sent at most."""

    most: int = 5
    dice: Callable[[], float] = random.random

    def again_after(self, tried: int, error: PodiumError, *, repeatable: bool) -> float | None:
        """Return the seconds to wait before the next try; None if there is none.

        What may have been done already is sent again only if repeating it is harmless. What was
        refused for its rate was not done.
        """
        if tried >= self.most or error.status not in PASSING:
            return None
        if not repeatable and error.status != REFUSED:
            return None
        # Full jitter: the clients of a server that comes back must not come back together.
        delay = DELAY_FIRST_S * 2.0 ** min(tried - 1, 10) * self.dice()
        return min(DELAY_MAX_S, max(delay, error.retry_after_s))
