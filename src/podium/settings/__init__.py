"""Every setting of a process: its key, its type, its default and where its value came from."""

from podium.settings.llm import (
    BUILT_IN_PROVIDERS,
    BudgetSettings,
    LlmSettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    Seconds,
)
from podium.settings.process import (
    DEFAULT_STORE,
    Settings,
    Sourced,
    merge_settings,
    run_settings,
)
from podium.settings.retention import RetentionSettings
from podium.settings.secret import Secret, expand

__all__ = [
    "BUILT_IN_PROVIDERS",
    "DEFAULT_STORE",
    "BudgetSettings",
    "LlmSettings",
    "ModelSettings",
    "PriceSettings",
    "ProviderSettings",
    "RetentionSettings",
    "Seconds",
    "Secret",
    "Settings",
    "Sourced",
    "expand",
    "merge_settings",
    "run_settings",
]
