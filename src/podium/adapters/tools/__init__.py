"""Built-in `uses:` that reach outside of the process."""
