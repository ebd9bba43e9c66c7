"""Definitions: immutable versions, a pointer to the active one, and ways to name a version."""

from typing import Any, Final

from podium.ports.store import DefinitionRow
from podium.testing.conformance.desk import Behaviours, World

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


ACME: Final = "acme"


def version(def_hash: str, *, name: str = "invoice", **fields: Any) -> DefinitionRow:
    """Return a version to publish."""
    facts: dict[str, Any] = {"organization": ACME, "label": "", "created_us": 4}
    body = def_hash.encode()
    return DefinitionRow(name=name, def_hash=def_hash, body=body, **(facts | fields))


@behaviour
async def a_published_version_gets_a_number_and_is_active(world: World) -> None:
    """What was published last is what a start by name runs."""
    store = (await world.desk()).store
    row = await store.publish(version("aaaaaa11", label="1.0"))
    assert (row.number, row.active, row.label, row.created_us) == (1, True, "1.0", 4)
    assert await store.definition(ACME, "invoice") == row


@behaviour
async def numbers_count_per_name(world: World) -> None:
    """People say `v3` of a workflow; what others publish must not change it."""
    store = (await world.desk()).store
    await store.publish(version("aaaaaa11"))
    second = await store.publish(version("bbbbbb22"))
    other = await store.publish(version("cccccc33", name="order"))
    assert (second.number, other.number) == (2, 1)


@behaviour
async def publishing_again_changes_nothing(world: World) -> None:
    """Every start publishes: a version is known by its content, not by being sent."""
    store = (await world.desk()).store
    first = await store.publish(version("aaaaaa11", label="1.0"))
    again = await store.publish(version("aaaaaa11", label="2.0"))
    assert again == first
    assert await store.definitions(ACME, "invoice") == [first]


@behaviour
async def publishing_an_old_version_again_activates_it(world: World) -> None:
    """That is a rollback: the old number comes back, no new one is made."""
    store = (await world.desk()).store
    await store.publish(version("aaaaaa11"))
    await store.publish(version("bbbbbb22"))
    assert (await store.publish(version("aaaaaa11"))).active
    active = await store.definition(ACME, "invoice")
    assert active is not None
    assert active.def_hash == "aaaaaa11"


@behaviour
async def a_version_may_be_published_without_activation(world: World) -> None:
    """A version can be tried by number before everybody gets it."""
    store = (await world.desk()).store
    await store.publish(version("aaaaaa11"))
    draft = await store.publish(version("bbbbbb22"), activate=False)
    assert not draft.active
    active = await store.definition(ACME, "invoice")
    assert active is not None
    assert active.number == 1


@behaviour
async def a_name_without_an_active_version_has_none(world: World) -> None:
    """Nothing is chosen for the caller where nothing was activated."""
    store = (await world.desk()).store
    await store.publish(version("aaaaaa11"), activate=False)
    assert await store.definition(ACME, "invoice") is None
    assert await store.definitions(ACME) == []


@behaviour
async def a_version_is_found_by_prefix_label_or_number(world: World) -> None:
    """These are the ways in which people and other definitions name a version."""
    store = (await world.desk()).store
    first = await store.publish(version("aaaaaa11", label="1.0"), activate=False)
    await store.publish(version("bbbbbb22", label="2.0"))
    for name in ("aaaaaa", "aaaaaa11", "AAAAAA1", "1.0", "1"):
        assert await store.definition(ACME, "invoice", name) == first, name


@behaviour
async def a_short_or_foreign_version_is_not_found(world: World) -> None:
    """A prefix that could mean anything, or another workflow's version, is no answer."""
    store = (await world.desk()).store
    await store.publish(version("aaaaaa11"))
    for name in ("aaaaa", "bbbbbb", "7", "1.0"):
        assert await store.definition(ACME, "invoice", name) is None, name
    assert await store.definition(ACME, "order", "aaaaaa11") is None


@behaviour
async def a_label_used_twice_means_the_newest_version(world: World) -> None:
    """Labels are for people and are not unique: the newest is what they mean."""
    store = (await world.desk()).store
    await store.publish(version("aaaaaa11", label="stable"))
    newest = await store.publish(version("bbbbbb22", label="stable"))
    assert await store.definition(ACME, "invoice", "stable") == newest


@behaviour
async def a_version_is_found_by_its_whole_hash(world: World) -> None:
    """Runs are pinned by hash; without it none could be loaded again."""
    store = (await world.desk()).store
    draft = await store.publish(version("aaaaaa11"), activate=False)
    assert await store.definition_by_hash("aaaaaa11") == draft
    assert await store.definition_by_hash("aaaaaa") is None


@behaviour
async def definitions_list_active_ones_or_all_versions(world: World) -> None:
    """One line for each name, or the whole history of one."""
    store = (await world.desk()).store
    old = await store.publish(version("aaaaaa11"))
    new = await store.publish(version("bbbbbb22"))
    order = await store.publish(version("cccccc33", name="a-order"))
    assert await store.definitions(ACME) == [order, new]
    versions = await store.definitions(ACME, "invoice")
    assert [row.number for row in versions] == [new.number, old.number]
    assert [row.active for row in versions] == [True, False]
