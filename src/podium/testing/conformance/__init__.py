"""What every store must do, one behaviour per function; run them all against your own store.

    @pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=str)
    def test_my_store(behaviour: Behaviour) -> None:
        asyncio.run(behaviour.check(MyHarness()))

A harness opens views of one store, moves its clock, and ends the process behind a view.
"""

from podium.testing.conformance import (
    access,
    definitions,
    homes,
    inbox,
    money,
    nodes,
    operation,
    people,
    reading,
    refusals,
    schedules,
    telling,
    ticks,
)
from podium.testing.conformance.desk import Behaviour, Desk, Harness, World

__all__ = ["BEHAVIOURS", "Behaviour", "Desk", "Harness", "World"]

BEHAVIOURS: tuple[Behaviour, ...] = tuple(
    behaviour
    for module in (
        access,
        ticks,
        refusals,
        nodes,
        homes,
        inbox,
        reading,
        definitions,
        money,
        operation,
        schedules,
        telling,
        people,
    )
    for behaviour in module.BEHAVIOURS
)
