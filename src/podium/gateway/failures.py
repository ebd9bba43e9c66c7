"""Every way a call can fail for good, as an error that a person can act on."""

from types import MappingProxyType
from typing import Final, NamedTuple

from podium.errors import BudgetError, ModelError
from podium.gateway.catalog import Model, Provider
from podium.ports.models import FaultKind, ProviderFault

__all__ = [
    "BREAKER_OPEN",
    "INCOMPLETE",
    "broken",
    "failure",
    "incomplete",
    "too_long",
    "unpriced",
    "why_of",
]

BREAKER_OPEN: Final = "breaker_open"
INCOMPLETE: Final = "incomplete"


class _Words(NamedTuple):
    code: str
    what: str
    fix: str


_AGAIN: Final = "`podium runs retry RUN` tries again; `fallbacks` of the model would step in."
K = FaultKind
_TOLD: Final = MappingProxyType(
    {
        K.AUTH: _Words(
            "PDM-M004",
            "{provider} refused the key",
            "Check the variable that `api_key` is taken from, and what the key may use.",
        ),
        K.NOT_FOUND: _Words(
            "PDM-M005",
            "{provider} does not know the model",
            "Check the model's name and the provider's `base_url` in podium.yaml.",
        ),
        K.BAD_REQUEST: _Words(
            "PDM-M006",
            "{provider} refused the request",
            "The same request is refused again: change what the message names.",
        ),
        K.CONTEXT_WINDOW: _Words(
            "PDM-M007",
            "{provider} found the request too long",
            "Send less, lower max_tokens, or declare `context_window_fallbacks` for the model.",
        ),
        K.CONTENT_POLICY: _Words(
            "PDM-M008",
            "{provider} refused the content",
            "Change the content, or declare `content_policy_fallbacks` for the model.",
        ),
        K.QUOTA: _Words(
            "PDM-M009",
            "{provider} has no quota left for this account",
            "Pay the provider or raise the limit there: waiting does not help.",
        ),
        K.RATE_LIMITED: _Words(
            "PDM-M020",
            "{provider} kept refusing because of its rate limit",
            "Declare `rpm` and `tpm` for the model, so that calls wait instead of being refused.",
        ),
        K.OVERLOADED: _Words("PDM-M021", "{provider} is overloaded", _AGAIN),
        K.SERVER: _Words("PDM-M021", "{provider} failed", _AGAIN),
        K.TIMEOUT: _Words("PDM-M021", "{provider} did not answer in time", _AGAIN),
        K.CONNECTION: _Words("PDM-M021", "{provider} could not be reached", _AGAIN),
        K.STREAM_CUT: _Words("PDM-M021", "{provider} broke off its answer", _AGAIN),
        K.MALFORMED: _Words("PDM-M021", "{provider} answered something unreadable", _AGAIN),
    }
)


def failure(fault: ProviderFault, model: Model, provider: Provider) -> ModelError:
    """Return the error of a fault that nothing more is done about."""
    words = _TOLD[fault.kind]
    status = f" (HTTP {fault.status})" if fault.status >= 300 else ""
    request = f" [request {fault.request_id}]" if fault.request_id else ""
    return ModelError(
        f"{words.what.format(provider=provider.name)}: model {model.alias!r}{status}.",
        why=f"{fault.detail}{request}".strip(),
        fix=words.fix,
        code=words.code,
        kind=fault.kind,
        is_transient=fault.kind.is_transient,
    )


def too_long(model: Model, *, prompt_tokens: int, max_tokens: int) -> ModelError:
    """Return the error of a request that does not fit the window; nothing was sent."""
    return ModelError(
        f"The request is too long for the model {model.alias!r}.",
        why=f"About {prompt_tokens:,} tokens and an answer of {max_tokens:,} are more than its"
        f" window of {model.context_window:,}.",
        fix=_TOLD[K.CONTEXT_WINDOW].fix,
        code="PDM-M007",
        kind=K.CONTEXT_WINDOW,
    )


def broken(model: Model, provider: Provider, *, opens_in_s: float) -> ModelError:
    """Return the error of a request that an open breaker kept from being sent."""
    return ModelError(
        f"{provider.name} keeps failing: model {model.alias!r} is not asked for now.",
        why=f"Its circuit breaker is open for another {opens_in_s:.0f} s.",
        fix=_AGAIN,
        code="PDM-M022",
        kind=BREAKER_OPEN,
        is_transient=True,
    )


def incomplete(error: ModelError) -> ModelError:
    """Return the error of a stream that broke after the caller got a part of the answer."""
    return ModelError(
        "The answer is incomplete: the stream broke off after a part of it was passed on.",
        why=f"{error.what} {error.why}".strip(),
        fix="Throw the part away and ask again; it is charged for what was used.",
        code="PDM-M023",
        kind=INCOMPLETE,
        is_transient=True,
    )


def unpriced(model: Model, error: BudgetError) -> BudgetError:
    """Return the error of a request whose price is unknown, where a budget is in money.

    Nobody can approve an unknown amount: a budget that would ask a person denies instead.
    """
    return BudgetError(
        f"The price of the model {model.alias!r} is not known, and a budget limits money.",
        why=f"It cannot be told whether a call fits the budget {error.budget}.",
        fix="Declare `price:` of the model, or `llm: unknown_price:`, or limit tokens instead.",
        code="PDM-M024",
        outcome="deny" if error.outcome == "pause" else error.outcome,
        budget=error.budget,
    )


def why_of(error: ModelError | BudgetError) -> str:
    """Return in one word why a model did not answer."""
    return "budget" if isinstance(error, BudgetError) else error.kind
