"""Pays for what attempts call: reserves before, books after, in every budget a call falls under.

Reservations are durable before anything is sent, and are made in groups: what arrives while the
store writes goes with the next transaction. What a call cost goes to the ledger with the tick
that ends its attempt; until then it is known here only, and its hold keeps the money.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from podium.core.budgets import (
    NOTHING,
    Amounts,
    Budget,
    OnLimit,
    Payer,
    Pot,
    pots_of_attempt,
    pots_of_run,
    raised,
    told,
)
from podium.core.charges import Charge
from podium.core.definition import Task
from podium.core.ids import run_id
from podium.core.receipts import Appeal, Booked, Receipt
from podium.core.state import RunState, Step
from podium.errors import BudgetError, PodiumError
from podium.gateway.purse import Hold
from podium.ports.ledger import Change, HoldAnswer, HoldRequest, Reserved
from podium.ports.store import NodeRow, Store
from podium.runtime.options import StartRequest

__all__ = ["AttemptPurse", "OverBudget", "Purses", "appeal_of"]

log = logging.getLogger("podium.purses")

PATIENCE_S: Final = 30.0
"""How long a call waits for others to turn out cheaper than what they hold."""
POLL_S: Final = 0.25
"""How often to look whether calls of other processes have ended."""
WISHES_MAX: Final = 200
RULES_EVERY_US: Final = 1_000_000

FENCED: Final = HoldAnswer(kind=Reserved.FENCED)

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class OverBudget(BudgetError):
    """A budget refused a call; knows what to ask a person for."""

    code = "PDM-B001"
    appeal: Appeal | None = None


def appeal_of(error: BaseException) -> Appeal | None:
    """Return what to ask a person for, if `error` is a refusal that people may overrule."""
    if isinstance(error, OverBudget) and error.outcome == OnLimit.PAUSE:
        return error.appeal
    return None


@dataclass(slots=True)
class _Wish:
    request: HoldRequest
    answer: "asyncio.Future[HoldAnswer]"
    until: float


class Purses:
    """The reservations of one node. `rules` are those of its settings."""

    def __init__(
        self,
        *,
        store: Store,
        node: Callable[[], NodeRow | None],
        spawn: Spawn,
        rules: Sequence[Budget] = (),
    ) -> None:
        self._store = store
        self._node = node
        self._spawn = spawn
        self._declared = {rule.name: rule for rule in rules}
        self.rules: tuple[Budget, ...] = tuple(rules)
        """Those of the settings, and over them those set on the store."""
        self._rules_us = 0
        self._queue: list[_Wish] = []
        self._changes: list[Change] = []
        self._is_serving = False
        self._is_stirred = False
        self._is_closed = False
        self._poll: asyncio.TimerHandle | None = None
        self._made = 0

    # -- rules ---------------------------------------------------------------------------------

    async def read_rules(self) -> None:
        """Look up the rules that were set on the store."""
        self._rules_us = self._store.now_us()
        found = {rule.name: rule for rule in await self._store.budgets()}
        self.rules = tuple({**self._declared, **found}.values())

    def pots_of_start(self, run_no: int, request: StartRequest) -> tuple[Pot, ...]:
        """Return the budgets per run of a new run: those of its parent, and its own."""
        payer = Payer(
            organization=request.organization,
            user=request.labels.get("user", ""),
            workflow=request.plan.workflow.name,
            run=run_id(run_no),
        )
        own = pots_of_run(self.rules, payer, request.plan.workflow.settings.budget)
        asked = pots_of_run((), payer, request.budget)
        limited = (Pot(p.account, p.limits, request.on_limit, p.budget) for p in asked)
        return (*request.pots, *own, *limited)

    async def pots_of_call(self, payer: Payer, state: RunState, task: Task) -> tuple[Pot, ...]:
        """Return every budget a call falls under."""
        now_us = self._store.now_us()
        if now_us >= self._rules_us + RULES_EVERY_US:
            await self.read_rules()
        own: tuple[Pot, ...] = ()
        if task.budget is not None:
            own = (Pot(f"step:{payer.step}@{payer.run}", task.budget, OnLimit.DENY, "step"),)
        return (*state.pots, *own, *pots_of_attempt(self.rules, payer, now_us))

    # -- reserving -----------------------------------------------------------------------------

    def purse(self, state: RunState, step: Step, task: Task) -> "AttemptPurse":
        """Return the purse of an attempt of `step` that is about to start."""
        return AttemptPurse(self, state, step, task)

    def now_us(self) -> int:
        """Return the store's time."""
        return self._store.now_us()

    def next_hold(self) -> str:
        """Return a name for a hold that no other hold ever had: node numbers are not reused."""
        self._made += 1
        node = self._node()
        return f"{0 if node is None else node.node_id}.{self._made}"

    async def make(self, request: HoldRequest) -> HoldAnswer:
        """Make a hold, waiting a while for calls under way if only they are in the way."""
        loop = asyncio.get_running_loop()
        wish = _Wish(request, loop.create_future(), loop.time() + PATIENCE_S)
        if self._is_closed:
            return FENCED
        self._queue.append(wish)
        self._stir()
        return await wish.answer

    def close(self) -> None:
        """Make no more holds: what attempts still ask for while the node leaves is refused."""
        self._is_closed = True
        for wish in self._queue:
            if not wish.answer.done():
                wish.answer.set_result(FENCED)

    def change(self, hold: str, amounts: Amounts) -> None:
        """Cut a hold down to what its call cost; what it held above that is free at once."""
        self._changes.append(Change(hold=hold, amounts=amounts))
        if self._queue:
            self._stir()

    def stir(self) -> None:
        """Look again whether those who wait fit now: a tick gave holds back."""
        if self._queue:
            self._stir()

    def _stir(self) -> None:
        self._is_stirred = True
        if not self._is_serving:
            self._is_serving = True
            self._spawn(self._serve(), "purse")

    async def _serve(self) -> None:
        try:
            while self._is_stirred:
                self._is_stirred = False
                await self._serve_once()
        finally:
            self._is_serving = False
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if self._queue:
            self._poll = asyncio.get_running_loop().call_later(POLL_S, self.stir)

    async def _serve_once(self) -> None:
        self._queue = [wish for wish in self._queue if not wish.answer.done()]
        wishes, changes = self._queue[:WISHES_MAX], self._changes
        node = self._node()
        if node is None or not wishes:
            return
        self._changes = []
        requests = [wish.request for wish in wishes]
        try:
            answers = await self._store.reserve(node.node_id, node.epoch, requests, changes)
        except PodiumError as error:
            self._changes = [*changes, *self._changes]
            self._refuse(wishes, error)
            return
        left = len(self._queue) - len(wishes)
        given = sum(self._give(*each) for each in zip(wishes, answers, strict=True))
        self._is_stirred = self._is_stirred or (given > 0 and left > 0)

    def _refuse(self, wishes: Sequence[_Wish], error: PodiumError) -> None:
        for wish in wishes:
            if not wish.answer.done():
                wish.answer.set_exception(error)

    def _give(self, wish: _Wish, answer: HoldAnswer) -> bool:
        """Pass an answer on unless its wish goes on waiting; return whether it was passed on."""
        if wish.answer.done():
            if answer.kind is Reserved.FITS:
                # Its attempt was cut off meanwhile, so nobody will settle the hold.
                self._changes.append(Change(hold=wish.request.hold, amounts=NOTHING))
            return True
        is_late = asyncio.get_running_loop().time() >= wish.until
        if answer.kind is Reserved.BUSY and not is_late:
            return False
        wish.answer.set_result(answer)
        return True

    # -- receipts that have no tick ------------------------------------------------------------

    def book(self, receipts: Sequence[Receipt | None]) -> None:
        """Book what attempts spent whose run is in other hands: billed is billed."""
        found = [receipt for receipt in receipts if receipt is not None]
        if found:
            self._spawn(self._book(found), "book")

    async def _book(self, receipts: Sequence[Receipt]) -> None:
        await self._store.book(receipts)
        self.stir()


class AttemptPurse:
    """Who pays for the calls of one attempt; see `gateway.purse.Purse`."""

    __slots__ = (
        "_booked",
        "_has_holds",
        "_open",
        "_purses",
        "_reserved",
        "_state",
        "_step",
        "_task",
        "number",
    )

    def __init__(self, purses: Purses, state: RunState, step: Step, task: Task) -> None:
        self.number = step.attempts
        self._purses = purses
        self._state = state
        self._step = step
        self._task = task
        self._has_holds = False
        self._reserved = NOTHING
        self._booked: list[Booked] | None = []
        self._open: dict[str, _CallHold] | None = None

    async def reserve(self, *, cost_nano: int, tokens: int, model: str, agent: str = "") -> Hold:
        """See `Purse.reserve`."""
        purses, state, step = self._purses, self._state, self._step
        payer = Payer(
            organization=state.organization,
            user=state.labels.get("user", ""),
            workflow=state.workflow,
            run=run_id(state.run_no),
            step=step.path,
            agent=agent,
        )
        pots = await purses.pots_of_call(payer, state, self._task)
        name = purses.next_hold()
        amounts = Amounts(cost_nano, tokens, 1)
        if pots:
            self._has_holds = True
            request = HoldRequest(
                hold=name,
                run_no=state.run_no,
                step_no=step.no,
                attempt=self.number,
                amounts=amounts,
                pots=pots,
            )
            answer = await purses.make(request)
            if answer.kind is not Reserved.FITS:
                raise self._refusal(answer, amounts)
        accounts = tuple(dict.fromkeys(pot.account for pot in pots))
        hold = _CallHold(self, name, amounts, model=model, agent=agent, accounts=accounts)
        self._reserved += amounts
        if self._open is None:
            self._open = {}
        self._open[name] = hold
        return hold

    def _refusal(self, answer: HoldAnswer, wanted: Amounts) -> BudgetError:
        pot = answer.pot
        if pot is None:
            return BudgetError(
                "This process may not spend any more.",
                why="It is leaving or was declared dead, and its runs belong to others.",
                code="PDM-B002",
            )
        spent, limits = told(answer.spent, pot.limits), told(raised(pot.limits, answer.extra))
        under_way = told(answer.held, pot.limits)
        held = f", and calls under way hold {under_way}" if answer.held != NOTHING else ""
        error = OverBudget(
            f"The budget {pot.budget} has too little left: a call may take "
            f"{told(wanted, pot.limits)}.",
            why=f"{spent} of {limits} is spent{held} ({pot.account}).",
            fix=f"Raise it (podium budgets grant {pot.account} …) and `podium runs retry RUN`.",
            outcome=pot.on_limit,
            budget=pot.budget,
        )
        # The step runs again from its start: it needs what it has reserved so far once more.
        so_far = self._reserved + wanted
        error.appeal = Appeal(
            account=pot.account,
            budget=pot.budget,
            spent=answer.spent,
            asked=so_far,
            prompt=f"Step {self._step.path} would exceed the budget {pot.budget}: {spent} of "
            f"{limits} is spent, and it asks for {told(so_far, pot.limits)}. "
            "Approve to grant that to this run, reject to fail the step.",
        )
        return error

    def settle(self, hold: "_CallHold", charge: Charge) -> None:
        """Note what a call cost."""
        if self._booked is None or self._open is None or self._open.pop(hold.name, None) is None:
            return
        at_us = self._purses.now_us()
        booked = Booked(
            charge=charge,
            hold=hold.name if hold.accounts else "",
            accounts=hold.accounts,
            time_us=max(0, at_us - hold.begun_us),
            at_us=at_us,
        )
        self._booked.append(booked)
        if hold.accounts:
            self._purses.change(hold.name, booked.amounts)

    def release(self, hold: "_CallHold") -> None:
        """Note that a call cost nothing."""
        known = self._open is not None and self._open.pop(hold.name, None) is not None
        if known and hold.accounts:
            self._purses.change(hold.name, NOTHING)

    def close(self) -> Receipt | None:
        """Return what the attempt has to settle, once; None for nothing.

        A call that was neither settled nor released by now may have been billed: what was set
        aside for it is booked, as an estimate.
        """
        for hold in list((self._open or {}).values()):
            self.settle(hold, hold.estimate())
        booked, self._booked = self._booked, None
        if not booked and not self._has_holds:
            return None
        return Receipt(
            run_no=self._state.run_no,
            step_no=self._step.no,
            attempt=self.number,
            organization=self._state.organization,
            booked=tuple(booked or ()),
            has_holds=self._has_holds,
        )


class _CallHold:
    """See `gateway.purse.Hold`."""

    __slots__ = ("_agent", "_amounts", "_model", "_purse", "accounts", "begun_us", "name")

    def __init__(
        self,
        purse: AttemptPurse,
        name: str,
        amounts: Amounts,
        *,
        model: str,
        agent: str,
        accounts: tuple[str, ...],
    ) -> None:
        self.name = name
        self.accounts = accounts
        """Where the store holds it; nowhere, if no budget asked for it."""
        self.begun_us = purse._purses.now_us()  # noqa: SLF001 - two halves of one thing
        self._purse = purse
        self._amounts = amounts
        self._model = model
        self._agent = agent

    def settle(self, charge: Charge) -> None:
        """Book what the request cost."""
        self._purse.settle(self, charge)

    def release(self) -> None:
        """Give the amount back."""
        self._purse.release(self)

    def estimate(self) -> Charge:
        """Return the charge of a call of which nobody said what it cost."""
        return Charge(
            key=f"hold:{self.name}",
            provider="",
            model=self._model,
            agent=self._agent,
            output=self._amounts.tokens,
            cost_nano=self._amounts.cost_nano,
            is_estimated=True,
        )
