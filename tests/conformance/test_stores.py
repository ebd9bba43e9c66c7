"""Every behaviour of the kit on every store."""

import asyncio

import pytest

from podium.testing.conformance import BEHAVIOURS, Behaviour, Harness


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=str)
def test_a_store_behaves(harness: Harness, behaviour: Behaviour) -> None:
    asyncio.run(behaviour.check(harness))


def test_every_behaviour_has_a_name_of_its_own() -> None:
    names = [str(behaviour) for behaviour in BEHAVIOURS]
    assert len(names) == len(set(names)) >= 45
