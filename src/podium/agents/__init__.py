"""Agents: durable functions that let a model choose the next step, within bounds."""
