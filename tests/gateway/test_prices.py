"""Prices: exact to the nano-dollar, with a version, and never silently zero."""

import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.core.charges import NANO
from podium.gateway import prices as module
from podium.gateway.prices import UNKNOWN, PriceTable, Rates, cost_of
from podium.ports.models import Usage
from podium.settings import LlmSettings, ModelSettings, PriceSettings, ProviderSettings

HERE = ProviderSettings(kind="openai", base_url="http://127.0.0.1:11434/v1")


def price(into: str, out: str, **more: str) -> PriceSettings:
    return PriceSettings(
        input_per_mtok=Decimal(into),
        output_per_mtok=Decimal(out),
        **{name: Decimal(value) for name, value in more.items()},
    )


def declared(wanted: PriceSettings | None, *, unknown: PriceSettings | None = None) -> PriceTable:
    model = ModelSettings(provider="local", model="qwen3", price=wanted)
    return PriceTable(
        LlmSettings(providers={"local": HERE}, models={"small": model}, unknown_price=unknown)
    )


def test_each_class_of_tokens_has_its_own_price() -> None:
    table = declared(
        price("3", "15", cached_per_mtok="0.3", cache_write_per_mtok="3.75", thinking_per_mtok="7")
    )
    usage = Usage(input=1000, cached=2000, cache_write=400, output=100, thinking=10)
    cost, _ = table.cost_nano("local", "qwen3", usage)
    assert cost == 3_000_000 + 600_000 + 1_500_000 + 1_500_000 + 70_000


def test_a_class_without_a_price_costs_as_input_or_output() -> None:
    usage = Usage(input=1, cached=1, cache_write=1, output=1, thinking=1)
    assert declared(price("1", "10")).cost_nano("local", "qwen3", usage)[0] == 3 * 1000 + 2 * 10_000


def test_a_price_of_zero_is_free_and_not_unknown() -> None:
    cost, version = declared(price("0", "0")).cost_nano("local", "qwen3", Usage(input=5))
    assert cost == 0
    assert version != UNKNOWN


@given(
    st.lists(st.integers(0, 10**7), min_size=5, max_size=5),
    st.lists(st.decimals(0, 1000, places=6), min_size=5, max_size=5),
)
def test_a_charge_is_exact_and_rounded_once(tokens: list[int], dollars: list[Decimal]) -> None:
    names = Rates.__struct_fields__
    usage = Usage(**dict(zip(names, tokens, strict=True)))
    rates = Rates(**dict(zip(names, dollars, strict=True)))
    pico = sum(n * int(d * 10**6) for n, d in zip(tokens, dollars, strict=True))
    assert cost_of(usage, rates) == (pico + 500) // 1000


def test_half_a_nano_dollar_is_rounded_up() -> None:
    half = Decimal("0.0005")
    rates = Rates(input=half, cached=half, cache_write=half, output=half, thinking=half)
    assert [cost_of(Usage(input=n), rates) for n in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert cost_of(Usage(input=1, output=1), rates) == 1


# --- unknown prices ----------------------------------------------------------------------------


def test_an_unknown_price_is_told_and_not_zero() -> None:
    assert declared(None).cost_nano("local", "qwen3", Usage(input=5)) == (None, UNKNOWN)
    assert declared(None).cost_nano("nobody", "qwen3", Usage(input=5)) == (None, UNKNOWN)


def test_what_unknown_prices_are_assumed_to_be_is_said_in_the_version() -> None:
    table = declared(None, unknown=price("10", "10"))
    cost, version = table.cost_nano("local", "qwen3", Usage(input=5))
    assert cost == 50_000
    assert version.startswith("assumed+")


def test_a_known_name_at_ones_own_address_has_no_price_of_the_table() -> None:
    table = PriceTable(LlmSettings(providers={"local": HERE}))
    assert table.cost_nano("local", "gpt-4o-mini", Usage(input=5)) == (None, UNKNOWN)


def test_without_the_package_declared_prices_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    cost, version = declared(price("1", "1")).cost_nano("local", "qwen3", Usage(input=5))
    assert cost == 5000
    assert version.startswith("settings/")
    assert PriceTable(LlmSettings()).cost_nano("openai", "gpt-4o-mini", Usage(input=5))[0] is None


# --- the package -------------------------------------------------------------------------------


def test_the_package_knows_the_prices_of_built_in_providers() -> None:
    table = PriceTable(LlmSettings())
    usage = Usage(input=1_000_000, cached=1_000_000, output=1_000_000)
    cost, version = table.cost_nano("openai", "gpt-4o-mini", usage)
    assert cost == int((Decimal("0.15") + Decimal("0.075") + Decimal("0.60")) * NANO)
    assert version.startswith("genai-prices/0.2.")


def test_cache_writes_have_their_own_price() -> None:
    table = PriceTable(LlmSettings())
    cost, _ = table.cost_nano("anthropic", "claude-sonnet-4-5", Usage(cache_write=1000))
    assert cost == 3_750_000


def test_long_prompts_cost_what_their_tier_says() -> None:
    google = ProviderSettings(
        kind="openai", base_url="https://generativelanguage.googleapis.com/v1beta/openai"
    )
    table = PriceTable(LlmSettings(providers={"google": google}))
    short = table.cost_nano("google", "gemini-2.5-pro", Usage(input=200_000))[0]
    long = table.cost_nano("google", "gemini-2.5-pro", Usage(input=200_000, cached=1))[0]
    assert short is not None
    assert long == 2 * short + 250


def test_a_declared_price_goes_before_the_package() -> None:
    model = ModelSettings(provider="openai", price=price("1", "1"))
    table = PriceTable(LlmSettings(models={"gpt-4o-mini": model}))
    assert table.cost_nano("openai", "gpt-4o-mini", Usage(input=1))[0] == 1000


def test_the_version_changes_with_every_declared_price() -> None:
    versions = {declared(price(into, "1")).version for into in ("1", "2", "3")}
    assert len(versions) == 3
    assert declared(price("1", "1")).version in versions
    assert "genai-prices/" in versions.pop()


def test_the_package_is_not_loaded_before_a_price_is_needed() -> None:
    program = (
        f"import sys; from {module.__name__} import LlmSettings, PriceTable; "
        "PriceTable(LlmSettings()); "
        "sys.exit(any(name.startswith(('genai_prices', 'pydantic')) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
