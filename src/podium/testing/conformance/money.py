"""Money: reservations one after another, receipts with their tick, doubts that stay."""

from dataclasses import dataclass
from typing import Any

from podium.core.budgets import NOTHING, Amounts, Budget, Limits, OnLimit, Per, Pot, Scope
from podium.core.charges import Charge
from podium.core.receipts import Booked, Receipt
from podium.ports.ledger import AccountRow, Change, GrantRow, HoldAnswer, HoldRequest, Reserved
from podium.testing.conformance.desk import Behaviours, Desk, World

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()

ACCOUNT = "organization:acme@2026-11-21"


def pot(cost_nano: int | None = 100, *, account: str = ACCOUNT, **limits: Any) -> Pot:
    """Return a pot of one account."""
    return Pot(account, Limits(cost_nano, **limits), OnLimit.DENY, "organization/day")


def wish(run_no: int, cost_nano: int = 40, **fields: Any) -> HoldRequest:
    """Return a wish of the first attempt of step 1."""
    facts: dict[str, Any] = {"hold": f"h{run_no}", "step_no": 1, "attempt": 1, "pots": [pot()]}
    amounts = Amounts(cost_nano, 10, 1)
    return HoldRequest(run_no=run_no, amounts=amounts, **(facts | fields))


def booked(hold: str, cost_nano: int = 30, *, key: str = "") -> Booked:
    """Return a charge that a hold pays for."""
    charge = Charge(
        key=key or f"key-{hold}", provider="acme", model="m", input=4, output=2, cost_nano=cost_nano
    )
    accounts = (ACCOUNT,) if hold else ()
    return Booked(charge=charge, hold=hold, accounts=accounts, time_us=7, at_us=9)


def receipt(run_no: int, *charges: Booked, **fields: Any) -> Receipt:
    """Return what the first attempt of step 1 settles."""
    facts: dict[str, Any] = {"step_no": 1, "attempt": 1, "organization": "acme"}
    facts |= {"has_holds": True}
    return Receipt(run_no=run_no, booked=charges, **(facts | fields))


@dataclass(frozen=True)
class Till:
    """Short ways to reserve and to look."""

    desk: Desk

    async def ask(self, *wishes: HoldRequest, changes: Any = ()) -> list[HoldAnswer]:
        """Reserve."""
        node = self.desk.node
        return list(await self.desk.store.reserve(node.node_id, node.epoch, wishes, changes))

    async def kinds(self, *wishes: HoldRequest, changes: Any = ()) -> list[Reserved]:
        """Reserve, and return how each wish fared."""
        return [answer.kind for answer in await self.ask(*wishes, changes=changes)]

    async def take(self, *wishes: HoldRequest) -> None:
        """Reserve what fits."""
        assert await self.kinds(*wishes) == [Reserved.FITS] * len(wishes)

    async def account(self, name: str = ACCOUNT) -> AccountRow:
        """Return where an account stands."""
        [row] = [r for r in await self.desk.store.accounts(prefix=name) if r.account == name]
        return row

    async def costs(self) -> tuple[int, int, int]:
        """Return what is spent, held, and held in doubt."""
        row = await self.account()
        return row.spent.cost_nano, row.held.cost_nano, row.in_doubt.cost_nano


@behaviour
async def a_wish_that_does_not_fit_is_refused_with_where_the_account_stands(world: World) -> None:
    till = Till(await world.desk())
    await till.take(wish(1, 40), wish(2, 40))
    [answer] = await till.ask(wish(3, 40))
    assert answer.kind is Reserved.BUSY
    assert answer.pot == pot()
    assert (answer.spent, answer.held) == (NOTHING, Amounts(80, 20, 2))
    assert await till.kinds(wish(4, 101)) == [Reserved.SPENT]
    assert await till.costs() == (0, 80, 0)


@behaviour
async def holds_of_one_transaction_count_against_one_another(world: World) -> None:
    till = Till(await world.desk())
    found = await till.kinds(*(wish(run, 30) for run in (1, 2, 3, 4)), wish(5, 10))
    assert found == [Reserved.FITS] * 3 + [Reserved.BUSY, Reserved.FITS]


@behaviour
async def holds_of_all_processes_share_one_limit(world: World) -> None:
    desk, other = await world.two_desks()
    await Till(desk).take(wish(1, 60))
    assert await Till(other).kinds(wish(2, 60)) == [Reserved.BUSY]
    await Till(other).take(wish(3, 40))


@behaviour
async def a_wish_is_granted_in_all_its_accounts_or_in_none(world: World) -> None:
    till = Till(await world.desk())
    tight = pot(10, account="run:run_1")
    [answer] = await till.ask(wish(1, 40, pots=[pot(), tight]))
    assert (answer.kind, answer.pot) == (Reserved.SPENT, tight)
    await till.take(wish(2, 100))


@behaviour
async def every_kind_of_limit_refuses(world: World) -> None:
    till = Till(await world.desk())
    for at, limits in enumerate(({"tokens": 9}, {"calls": 0}, {"time_us": 0})):
        tight = pot(None, account=f"a{at}", **limits)
        assert await till.kinds(wish(1, pots=[tight])) == [Reserved.SPENT]


@behaviour
async def a_hold_asked_for_again_is_one_hold(world: World) -> None:
    till = Till(await world.desk())
    await till.take(wish(1, 40))
    await till.take(wish(1, 40))
    assert await till.costs() == (0, 40, 0)


@behaviour
async def a_node_declared_dead_reserves_nothing(world: World) -> None:
    desk, other = await world.two_desks()
    await other.store.declare_dead(desk.node)
    assert await Till(desk).kinds(wish(1)) == [Reserved.FENCED]
    await Till(other).take(wish(2, 100))


@behaviour
async def a_tick_settles_holds_and_writes_the_ledger(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    await till.take(wish(run_no, 40))
    await desk.advance(run_no, receipts=[receipt(run_no, booked(f"h{run_no}", 30))])
    assert await till.costs() == (30, 0, 0)
    row = await till.account()
    assert row.spent == Amounts(30, 6, 1, 7)
    [line] = await desk.store.ledger(run_no)
    assert (line.key, line.cost_nano, line.input, line.output) == (f"key-h{run_no}", 30, 4, 2)
    assert (line.step_no, line.attempt, line.organization) == (1, 1, "acme")
    # Three times 30 fit into what is left of 100 after 30 only twice.
    assert await till.kinds(*(wish(n, 30) for n in (901, 902, 903))) == [0, 0, 1]


@behaviour
async def a_refused_tick_settles_nothing(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    await till.take(wish(run_no, 40))
    paid = receipt(run_no, booked(f"h{run_no}", 30))
    await desk.submit(await desk.move(run_no, home_epoch=9, receipts=[paid]))
    assert await till.costs() == (0, 40, 0)
    assert list(await desk.store.ledger(run_no)) == []


@behaviour
async def a_tick_sent_again_charges_once(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    await till.take(wish(run_no, 40))
    move = await desk.move(run_no, receipts=[receipt(run_no, booked(f"h{run_no}", 30))])
    await desk.commit(move)
    await till.take(wish(901, 10))
    await desk.commit(move)
    assert await till.costs() == (30, 10, 0)
    assert len(await desk.store.ledger(run_no)) == 1


@behaviour
async def a_key_that_was_billed_before_costs_nothing_again(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    await till.take(wish(run_no, 40))
    await desk.advance(run_no, receipts=[receipt(run_no, booked(f"h{run_no}", 30, key="k"))])
    await till.take(wish(run_no, 40, hold="again", attempt=2))
    again = receipt(run_no, booked("again", 30, key="k"), attempt=2)
    await desk.advance(run_no, receipts=[again])
    assert await till.costs() == (30, 0, 0)
    assert [row.key for row in await desk.store.ledger(run_no)] == ["k"]


@behaviour
async def receipts_may_be_booked_without_a_tick(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    await till.take(wish(run_no, 40))
    for _ in range(2):
        await desk.store.book([receipt(run_no, booked(f"h{run_no}", 30))])
    assert await till.costs() == (30, 0, 0)
    assert len(await desk.store.ledger(run_no)) == 1


@behaviour
async def a_hold_is_cut_down_before_its_tick(world: World) -> None:
    till = Till(await world.desk())
    await till.take(wish(1, 100))
    cheap = Change(hold="h1", amounts=Amounts(20, 5, 1))
    assert await till.kinds(wish(2, 80), changes=[cheap]) == [Reserved.FITS]
    assert await till.costs() == (0, 100, 0)


@behaviour
async def a_change_of_a_settled_hold_does_nothing(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    await till.take(wish(run_no, 40))
    await desk.advance(run_no, receipts=[receipt(run_no, booked(f"h{run_no}", 30))])
    late = Change(hold=f"h{run_no}", amounts=NOTHING)
    await till.ask(wish(901, 10), changes=[late])
    assert await till.costs() == (30, 10, 0)


@behaviour
async def holds_that_were_not_settled_end_with_their_attempt(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    await till.take(wish(run_no, 40), wish(run_no, 10, hold="other-step", step_no=2))
    await desk.advance(run_no, receipts=[receipt(run_no)])
    assert await till.costs() == (0, 10, 0)


@behaviour
async def what_a_dead_process_held_is_in_doubt_and_still_held(world: World) -> None:
    desk, other = await world.two_desks()
    await Till(desk).take(wish(1, 70))
    await other.store.declare_dead(desk.node)
    till = Till(other)
    assert await till.costs() == (0, 70, 70)
    # Nobody alive will settle it: waiting would not help.
    assert await till.kinds(wish(2, 40)) == [Reserved.SPENT]


@behaviour
async def the_next_attempt_of_the_step_takes_the_place_of_a_doubt(world: World) -> None:
    desk, other = await world.two_desks()
    await Till(desk).take(wish(1, 70))
    await other.store.declare_dead(desk.node)
    till = Till(other)
    await till.take(wish(1, 70, hold="again", attempt=2))
    assert await till.costs() == (0, 70, 0)


@behaviour
async def what_a_process_thought_dead_was_billed_counts_though_its_hold_was_replaced(
    world: World,
) -> None:
    desk, other = await world.two_desks()
    run_no = await other.start()
    await Till(desk).take(wish(run_no, 70))
    await other.store.declare_dead(desk.node)
    till = Till(other)
    await till.take(wish(run_no, 70, hold="again", attempt=2))
    await desk.store.book([receipt(run_no, booked(f"h{run_no}", 30, key="k"))])
    again = receipt(run_no, booked("again", 30, key="k"), attempt=2)
    await other.advance(run_no, receipts=[again])
    assert await till.costs() == (30, 0, 0)


@behaviour
async def a_doubt_that_no_later_call_replaced_stays(world: World) -> None:
    """Attempts that did not repeat the call cannot tell what it cost, succeed or not."""
    desk, other = await world.two_desks()
    run_no = await other.start()
    await Till(desk).take(wish(run_no, 70))
    await other.store.declare_dead(desk.node)
    await other.advance(run_no, receipts=[receipt(run_no, attempt=2)])
    assert await Till(other).costs() == (0, 70, 70)


@behaviour
async def a_grant_for_a_run_is_for_that_run_and_takes_nothing_from_the_others(
    world: World,
) -> None:
    till = Till(await world.desk())
    await till.take(wish(1, 90))
    more = Amounts(50, 100, 5)
    row = GrantRow(grant_id="g", account=ACCOUNT, amounts=more, run_no=2, by="ann", at_us=1)
    for _ in range(2):
        await till.desk.store.grant(row)
    assert await till.kinds(wish(3, 30)) == [Reserved.BUSY]
    await till.take(wish(2, 30))
    assert await till.costs() == (0, 120, 0)
    # 20 of the grant are left, and still 10 of the limit itself for everybody.
    assert await till.kinds(wish(2, 30, hold="more")) == [Reserved.BUSY]
    await till.take(wish(4, 10))
    assert (await till.account()).extra == Amounts(30, 10, 1)


@behaviour
async def a_grant_in_a_tick_is_durable_with_it(world: World) -> None:
    desk = await world.desk()
    till, run_no = Till(desk), await desk.start()
    row = GrantRow(grant_id="g", account=ACCOUNT, amounts=Amounts(500, 50, 5), run_no=run_no)
    await desk.advance(run_no, grants=[row])
    await till.take(wish(run_no, 300))


@behaviour
async def a_grant_for_everybody_raises_the_limit_once(world: World) -> None:
    till = Till(await world.desk())
    row = GrantRow(grant_id="g", account=ACCOUNT, amounts=Amounts(50), by="ann", at_us=1)
    for _ in range(2):
        await till.desk.store.grant(row)
    await till.take(wish(1, 150))
    assert await till.kinds(wish(2, 1)) == [Reserved.BUSY]


@behaviour
async def a_run_is_charged_with_what_its_children_spend(world: World) -> None:
    desk = await world.desk()
    parent = await desk.start()
    child = await desk.start(parent_run=parent, parent_step=1)
    for run_no, cost in ((parent, 5), (child, 7)):
        paid = receipt(run_no, booked("", cost, key=f"k{run_no}"), has_holds=False)
        await desk.advance(run_no, receipts=[paid])
    other = await desk.start()
    spent = await desk.store.spending([parent, child, other])
    assert {run: (each.cost_nano, each.calls) for run, each in spent.items()} == {
        parent: (12, 2),
        child: (7, 1),
    }
    assert [row.run_no for row in await desk.store.ledger(parent)] == [parent, child]


@behaviour
async def accounts_are_listed_by_the_beginning_of_their_names(world: World) -> None:
    till = Till(await world.desk())
    tight = Limits(5, 50)
    pots = [pot(), pot(account="run:run_1"), Pot("run:run_1", tight, OnLimit.PAUSE, "run")]
    await till.take(wish(1, 4, pots=pots))
    [row] = await till.desk.store.accounts(prefix="run:")
    assert (row.account, row.limits, row.held) == ("run:run_1", tight, Amounts(4, 10, 1))
    assert len(await till.desk.store.accounts()) == 2
    assert len(await till.desk.store.accounts(limit=1)) == 1


@behaviour
async def rules_are_kept_by_name(world: World) -> None:
    store = (await world.desk()).store
    first = Budget(scope=Scope.USER, key="ann", per=Per.DAY, limits=Limits(5))
    second = Budget(scope=Scope.USER, key="ann", per=Per.DAY, limits=Limits(6))
    other = Budget(scope=Scope.ORGANIZATION, on_limit=OnLimit.PAUSE)
    for budget in (first, other, second):
        await store.put_budget(budget)
    assert list(await store.budgets()) == [other, second]
    await store.put_budget(other, remove=True)
    assert list(await store.budgets()) == [second]
