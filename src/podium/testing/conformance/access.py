"""Access: organizations, keys with what was done to them, and chains that only grow."""

from typing import Any, Final

from podium.core.access import CHAIN_START, AuditEntry, AuditRow, ChainCheck, check_chain
from podium.ports.access import KeyRow, OrganizationRow
from podium.ports.store import DefinitionRow, Store
from podium.testing.conformance.desk import Behaviours, World

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()

ACME: Final = "acme"


def key(number: int, **fields: Any) -> KeyRow:
    """Return a key to add."""
    facts: dict[str, Any] = {
        "key_id": f"key_{number:010d}",
        "organization": ACME,
        "role": "operator",
        "name": f"robot {number}",
        "hash": f"{number:064d}",
        "hint": "sk_0000…",
        "created_us": 4,
        "created_by": "ada",
        "expires_us": 1000,
    }
    return KeyRow(**(facts | fields))


def line(action: str = "key.create", **fields: Any) -> AuditEntry:
    """Return a line of the audit log."""
    facts: dict[str, Any] = {"organization": ACME, "at_us": 7, "by": "ada", "subject": "key_1"}
    return AuditEntry(action=action, **(facts | fields))


async def actions(store: Store, organization: str = ACME) -> list[str]:
    """Return the actions of a chain, oldest first."""
    return [row.action for row in await store.audit(organization)]


# --- organizations ------------------------------------------------------------------------------


@behaviour
async def an_organization_is_added_once_and_its_line_with_it(world: World) -> None:
    store = (await world.desk()).store
    row = OrganizationRow(slug=ACME, title="Acme", created_us=3)
    assert await store.add_organization(row, line("organization.create"))
    again = OrganizationRow(slug=ACME, title="Other", created_us=4)
    assert not await store.add_organization(again, line("organization.create"))
    assert await store.organizations() == [row]
    assert await actions(store) == ["organization.create"]


@behaviour
async def two_organizations_may_use_the_same_name_for_a_workflow(world: World) -> None:
    store = (await world.desk()).store
    ours = await store.publish(version(ACME, "aaaaaa11"))
    theirs = await store.publish(version("globex", "bbbbbb22"))
    assert (ours.number, theirs.number) == (1, 1)
    assert await store.definition(ACME, "invoice") == ours
    assert await store.definition(ACME, "invoice", "bbbbbb22") is None
    assert await store.definitions("globex") == [theirs]
    assert await store.definitions("initech") == []


@behaviour
async def the_same_definition_can_be_active_in_one_organization_alone(world: World) -> None:
    store = (await world.desk()).store
    draft = await store.publish(version(ACME, "aaaaaa11"), activate=False)
    active = await store.publish(version("globex", "aaaaaa11"))
    assert (draft.active, active.active) == (False, True)
    assert await store.definition(ACME, "invoice") is None
    found = await store.definition_by_hash("aaaaaa11")
    assert found is not None
    assert found.body == active.body


def version(organization: str, def_hash: str) -> DefinitionRow:
    """Return a version to publish."""
    return DefinitionRow(
        organization=organization, name="invoice", def_hash=def_hash, label="", body=b"{}"
    )


# --- keys ---------------------------------------------------------------------------------------


@behaviour
async def a_key_is_kept_as_it_was_made(world: World) -> None:
    store = (await world.desk()).store
    assert await store.add_key(key(1), line())
    assert await store.key("key_0000000001") == key(1, version=1)
    assert await store.key("key_0000000002") is None


@behaviour
async def a_known_hash_is_not_added_again_and_leaves_no_line(world: World) -> None:
    """A bootstrap key is registered by every process that starts."""
    store = (await world.desk()).store
    await store.add_key(key(1), line())
    assert not await store.add_key(key(1, name="other", role="admin"), line())
    assert await store.keys() == [key(1, version=1)]
    assert await actions(store) == ["key.create"]


@behaviour
async def keys_are_listed_by_organization_a_page_at_a_time(world: World) -> None:
    store = (await world.desk()).store
    for number in (3, 1, 2):
        await store.add_key(key(number), line())
    await store.add_key(key(4, organization="globex"), line(organization="globex"))
    first = await store.keys(organization=ACME, limit=2)
    rest = await store.keys(organization=ACME, after=first[-1].key_id)
    assert [row.name for row in (*first, *rest)] == ["robot 1", "robot 2", "robot 3"]
    assert len(await store.keys()) == 4


@behaviour
async def a_rotated_key_lives_on_for_a_while_at_most(world: World) -> None:
    """Also at most as long as it was to live anyway."""
    store = (await world.desk()).store
    for number, expires_us in ((1, 1000), (2, None), (3, 20)):
        await store.add_key(key(number, expires_us=expires_us), line())
        old, new = key(number).key_id, key(number + 10, organization=ACME)
        assert await store.rotate_key(old, new, expires_us=50, entry=line("key.rotate"))
    rows = {row.key_id: row for row in await store.keys()}
    assert [rows[key(n).key_id].expires_us for n in (1, 2, 3)] == [50, 50, 20]
    assert rows[key(1).key_id].successor == key(11).key_id
    assert rows[key(11).key_id].expires_us == 1000


@behaviour
async def a_key_is_rotated_once(world: World) -> None:
    store = (await world.desk()).store
    await store.add_key(key(1), line())
    assert await store.rotate_key(key(1).key_id, key(2), expires_us=50, entry=line("key.rotate"))
    third = line("key.rotate")
    assert not await store.rotate_key(key(1).key_id, key(3), expires_us=60, entry=third)
    assert not await store.rotate_key("key_none", key(4), expires_us=60, entry=third)
    assert len(await store.keys()) == 2
    assert await actions(store) == ["key.create", "key.rotate"]


@behaviour
async def a_revoked_key_stays_revoked_and_cannot_be_rotated(world: World) -> None:
    store = (await world.desk()).store
    await store.add_key(key(1), line())
    revoke = line("key.revoke", by="eve")
    assert await store.revoke_key(key(1).key_id, at_us=30, entry=revoke)
    assert not await store.revoke_key(key(1).key_id, at_us=40, entry=revoke)
    assert not await store.rotate_key(key(1).key_id, key(2), expires_us=50, entry=line())
    assert await store.keys() == [key(1, revoked_us=30, revoked_by="eve", version=2)]
    assert await actions(store) == ["key.create", "key.revoke"]


@behaviour
async def another_process_is_told_what_changed_and_no_more(world: World) -> None:
    """A revocation reaches every process; the hour of last use is no change."""
    here, there = await world.two_desks()
    for number in (1, 2):
        await here.store.add_key(key(number), line())
    seen = (await there.store.keys_changed(0))[-1].version
    await here.store.touch_keys({key(1).key_id: 99})
    assert await there.store.keys_changed(seen) == []
    await here.store.revoke_key(key(1).key_id, at_us=30, entry=line("key.revoke"))
    assert [row.key_id for row in await there.store.keys_changed(seen)] == [key(1).key_id]


@behaviour
async def the_time_of_last_use_does_not_go_back(world: World) -> None:
    store = (await world.desk()).store
    await store.add_key(key(1), line())
    for at_us in (50, 40):
        await store.touch_keys({key(1).key_id: at_us, "key_none": at_us})
    row = await store.key(key(1).key_id)
    assert row is not None
    assert row.last_used_us == 50


# --- chains -------------------------------------------------------------------------------------


@behaviour
async def each_organization_has_a_chain_of_its_own(world: World) -> None:
    store = (await world.desk()).store
    entries = [line("a"), line("b", organization="globex"), line("c")]
    rows = await store.append_audit(entries)
    assert [(row.organization, row.seq) for row in rows] == [(ACME, 1), ("globex", 1), (ACME, 2)]
    assert await store.audited() == [ACME, "globex"]
    assert await actions(store) == ["a", "c"]
    assert await actions(store, "initech") == []


@behaviour
async def a_chain_is_whole_across_processes_and_ends_at_its_head(world: World) -> None:
    here, there = await world.two_desks()
    for number in range(3):
        await here.store.append_audit([line(f"here.{number}"), line(f"also.{number}")])
        await there.store.append_audit([line(f"there.{number}", by="", detail='{"ü": 1}')])
    rows: list[AuditRow] = list(await there.store.audit(ACME))
    check = check_chain(rows)
    assert check == ChainCheck(seq=9, hash=rows[-1].hash)
    assert await here.store.audit_head(ACME) == (9, rows[-1].hash)
    assert await here.store.audit_head("initech") == (0, CHAIN_START)


@behaviour
async def a_chain_is_read_from_both_ends(world: World) -> None:
    store = (await world.desk()).store
    await store.append_audit([line(str(number)) for number in range(1, 8)])
    assert [row.seq for row in await store.audit(ACME, after=2, limit=3)] == [3, 4, 5]
    assert [row.seq for row in await store.audit_latest(ACME, limit=2)] == [7, 6]
    assert [row.seq for row in await store.audit_latest(ACME, before=3, limit=9)] == [2, 1]
