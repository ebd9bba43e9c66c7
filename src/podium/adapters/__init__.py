"""Implementations of the ports, each apart from the others; only app.py names them."""
