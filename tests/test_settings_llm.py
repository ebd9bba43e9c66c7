"""The `llm:` and `budgets:` blocks: typed, every fault at once, secrets never shown."""

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest

from podium.cli.commands.config import hide
from podium.errors import RequestError
from podium.settings import (
    BudgetSettings,
    LlmSettings,
    PriceSettings,
    ProviderSettings,
    Secret,
    Settings,
    expand,
    merge_settings,
)

FULL: dict[str, Any] = {
    "llm": {
        "providers": {
            "local": {
                "kind": "openai",
                "base_url": "http://127.0.0.1:11434/v1",
                "api_key": "${OLLAMA_KEY}",
                "headers": {"X-Team": "${TEAM}"},
                "timeout": "90s",
            }
        },
        "models": {
            "small": {
                "provider": "local",
                "model": "qwen3",
                "context_window": 32768,
                "price": {"input_per_mtok": 0.1, "output_per_mtok": 0.4},
                "rpm": 600,
                "tpm": 200000,
                "concurrency": 8,
                "fallbacks": ["large", "openai/gpt-5-mini"],
                "downgrade": "tiny",
            },
            "large": {"provider": "anthropic", "model": "claude-sonnet-4-5"},
            "tiny": {"provider": "local", "price": {"input_per_mtok": 0, "output_per_mtok": 0}},
        },
        "default": "small",
    },
    "budgets": [
        {"scope": "organization", "limit_usd": 50, "per": "day", "on_limit": "deny"},
        {"scope": "workflow", "name": "review", "limit_s": "1h", "limit_tokens": 1000},
    ],
}


def settings_of(file: dict[str, Any]) -> Settings:
    return merge_settings(flags={}, environment={}, file=file)[0]


def fault_of(**file: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        settings_of(file)
    return caught.value


def llm_with(**changes: Any) -> dict[str, Any]:
    changed = copy.deepcopy(FULL["llm"])
    changed["models"]["small"] |= changes
    return changed


# --- reading -----------------------------------------------------------------------------------


def test_providers_and_models_are_read_as_they_stand() -> None:
    llm = settings_of(FULL).llm
    local, small = llm.providers["local"], llm.models["small"]
    assert (local.kind, local.url, local.timeout) == ("openai", "http://127.0.0.1:11434/v1", 90)
    assert (small.rpm, small.tpm, small.concurrency) == (600, 200_000, 8)
    assert small.fallbacks == ("large", "openai/gpt-5-mini")
    assert llm.default == "small"


def test_prices_are_exact_decimals() -> None:
    small = settings_of(FULL).llm.models["small"]
    expected = PriceSettings(input_per_mtok=Decimal("0.1"), output_per_mtok=Decimal("0.4"))
    assert small.price == expected


def test_budgets_are_read_as_they_stand() -> None:
    first, second = settings_of(FULL).budgets
    assert first == BudgetSettings(scope="organization", limit_usd=Decimal(50), per="day")
    assert (second.name, second.limit_s, second.per) == ("review", 3600, "total")


def test_without_a_file_there_are_no_models_and_no_budgets() -> None:
    settings, sources = merge_settings(flags={}, environment={}, file={})
    assert (settings.llm, settings.budgets) == (LlmSettings(), ())
    assert (sources["llm"].value, sources["llm"].source) == ({}, "default")


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rpm": 0}, "llm.models.small.rpm"),
        ({"tpm": "many"}, "llm.models.small.tpm"),
        ({"context_window": 1.5}, "llm.models.small.context_window"),
        ({"provider": "locl"}, "Did you mean 'local'?"),
        ({"fallbacks": ["big"]}, "llm.models.small.fallbacks"),
        ({"fallbacks": ["small"]}, "names the model itself"),
        ({"fallbacks": ["opnai/gpt-5"]}, "Did you mean 'openai'?"),
        ({"downgrade": "tinny"}, "Did you mean 'tiny'?"),
        ({"price": {"input_per_mtok": 1}}, "needs the key `output_per_mtok`"),
        ({"price": {"input_per_mtok": -1, "output_per_mtok": 1}}, "Write 0 or more."),
        ({"price": {"input_per_mtok": float("nan"), "output_per_mtok": 1}}, "Write 0 or more."),
        ({"price": 3}, "Write keys and values."),
    ],
)
def test_a_faulty_model_is_refused_with_its_place(changes: dict[str, Any], told: str) -> None:
    error = fault_of(llm=llm_with(**changes))
    assert error.code == "PDM-R041"
    assert told in str(error)


def test_an_unknown_key_is_refused_with_a_suggestion() -> None:
    error = fault_of(llm=llm_with(fallback=["large"]))
    assert error.code == "PDM-R040"
    assert "Did you mean 'fallbacks'?" in error.fix


def test_every_fault_is_told_at_once() -> None:
    error = fault_of(llm=llm_with(rpm=-1, tpm=-1, colour="red", price={"input_per_mtok": "x"}))
    told = str(error)
    assert all(word in told for word in ("rpm", "tpm", "colour", "output_per_mtok", "input_per"))
    assert "(4 more below)" in told


def test_a_model_cannot_be_named_like_a_provider_and_its_model() -> None:
    assert "slash" in str(fault_of(llm={"models": {"a/b": {"provider": "openai"}}}))


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"scope": "organization"}, "budgets[0]` limits nothing"),
        ({"scope": "galaxy", "limit_usd": 1}, "budgets[0].scope"),
        ({"scope": "run", "limit_usd": -1}, "budgets[0].limit_usd"),
        ({"scope": "run", "limit_s": "soon"}, "Expected a duration"),
        ({"scope": "run", "limit_usd": 1, "on_limit": "explode"}, "budgets[0].on_limit"),
        ("cheap", "Write keys and values."),
    ],
)
def test_a_faulty_budget_is_refused_with_its_place(budget: Any, told: str) -> None:
    assert told in str(fault_of(budgets=[budget]))


# --- secrets -----------------------------------------------------------------------------------

SECRET = Secret("Bearer ${TOKEN}")


def test_a_secret_is_never_shown() -> None:
    provider = ProviderSettings(kind="openai", api_key=Secret("sk-canary"))
    shown = [repr(provider), str(provider.api_key), f"{provider.api_key:>9}", f"{[SECRET]}"]
    assert not [text for text in shown if "canary" in text or "Bearer" in text]
    assert str(SECRET) == "***"


def test_a_secret_is_neither_pickled_nor_copied_out() -> None:
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(SECRET)


def test_a_secret_of_the_wrong_type_is_refused_without_showing_it() -> None:
    block = {"providers": {"p": {"kind": "openai", "api_key": ["sk-canary"]}}}
    assert "canary" not in str(fault_of(llm=block))


def test_a_secret_is_taken_from_the_environment_when_it_is_used() -> None:
    assert SECRET.reveal({"TOKEN": "t0p"}, setting="x") == "Bearer t0p"


def test_a_missing_variable_is_told_when_the_provider_is_used_and_not_before() -> None:
    key = settings_of(FULL).llm.providers["local"].key
    with pytest.raises(RequestError) as caught:
        key.reveal({"OLLAMA_KEY": ""}, setting="llm.providers.local.api_key")
    assert caught.value.code == "PDM-R073"
    assert "OLLAMA_KEY" in caught.value.what
    assert "llm.providers.local.api_key" in caught.value.what


def test_all_missing_variables_are_told_together() -> None:
    with pytest.raises(RequestError, match="A, B"):
        expand("${B}/${A}", {}, setting="x")


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert expand("${A}", {"A": "${B}", "B": "no"}, setting="x") == "${B}"


def test_config_show_hides_keys_and_headers_and_keeps_references() -> None:
    shown = json.dumps(
        hide(
            {
                "providers": {
                    "a": {"api_key": "sk-canary1", "headers": {"X-Team": "canary2"}},
                    "b": {"api_key": "${B_KEY}", "headers": {"X-Team": "${TEAM}"}},
                    "c": {"api_key": "${C}canary3"},
                }
            },
            "llm",
        )
    )
    assert "canary" not in shown
    assert "${B_KEY}" in shown
    assert "${TEAM}" in shown


# --- built-in providers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variable"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")]
)
def test_a_key_in_the_environment_is_all_a_built_in_provider_needs(
    name: str, variable: str
) -> None:
    provider = LlmSettings().provider(name)
    assert provider is not None
    assert provider.url.startswith(f"https://api.{name}.com/")
    assert provider.missing({}) == (variable,)
    assert provider.missing({variable: "sk"}) == ()
    assert provider.key.reveal({variable: "sk"}, setting="x") == "sk"


def test_the_official_key_is_not_sent_to_another_address() -> None:
    elsewhere = ProviderSettings(kind="openai", base_url="https://elsewhere.example/v1")
    assert not elsewhere.key
    assert elsewhere.missing({}) == ()


def test_what_a_provider_lacks_names_every_variable() -> None:
    provider = ProviderSettings(
        kind="anthropic", base_url="https://${HOST}", headers={"a": Secret("${B}")}
    )
    assert provider.missing({}) == ("B", "HOST")


def test_a_declared_provider_takes_the_place_of_a_built_in_one() -> None:
    mine = ProviderSettings(kind="openai", base_url="http://127.0.0.1:1/v1")
    assert LlmSettings(providers={"openai": mine}).provider("openai") is mine
    assert LlmSettings().provider("nobody") is None
