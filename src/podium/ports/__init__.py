"""Protocols at the edges of the engine: what the engine needs, in words, from the outside."""
