"""Who is asked instead: a pure choice from the catalog, each model at most once."""

from collections.abc import Callable, Sequence
from enum import StrEnum

from podium.errors import BudgetError, ModelError
from podium.gateway.catalog import Catalog, Model
from podium.gateway.failures import INCOMPLETE
from podium.ports.models import FaultKind

__all__ = ["Reason", "next_model", "reason_of"]


class Reason(StrEnum):
    """Why another model may be asked."""

    ERROR = "on_error"
    CONTEXT_WINDOW = "on_context_window"
    CONTENT_POLICY = "on_content_policy"
    BUDGET = "on_budget"


def reason_of(error: ModelError | BudgetError) -> Reason | None:
    """Return what kind of fallback an error calls for; None: another model would not help."""
    if isinstance(error, BudgetError):
        return Reason.BUDGET if error.outcome == "downgrade" else None
    if error.kind in {FaultKind.BAD_REQUEST, INCOMPLETE, "not_configured"}:
        return None
    special = {
        FaultKind.CONTEXT_WINDOW.value: Reason.CONTEXT_WINDOW,
        FaultKind.CONTENT_POLICY.value: Reason.CONTENT_POLICY,
    }
    return special.get(error.kind, Reason.ERROR)


def next_model(
    catalog: Catalog,
    asked: Sequence[str],
    reason: Reason,
    *,
    is_cheaper: Callable[[Model], bool],
) -> Model | None:
    """Return the model to ask next, or None.

    `asked` are the aliases asked so far, in order: the lists of the first one come first. Where
    a budget wants something cheaper and no list says what, the fallbacks for errors that are
    cheaper will do.
    """
    for alias in asked:
        lists = catalog.model(alias).fallbacks
        declared: tuple[str, ...] = getattr(lists, reason.value)
        for name in declared:
            if name not in asked:
                return catalog.model(name)
        if reason is Reason.BUDGET:
            for name in lists.on_error:
                if name not in asked and is_cheaper(catalog.model(name)):
                    return catalog.model(name)
    return None
