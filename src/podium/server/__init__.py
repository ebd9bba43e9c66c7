"""The service: HTTP, event streams and pages over one engine."""
