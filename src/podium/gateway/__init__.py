"""The way to language models: one call in, limits, budgets, retries and fallbacks around it."""
