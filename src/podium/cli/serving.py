"""What `podium serve` does: settings, import path, the right app for the role, and the server."""

from dataclasses import dataclass
from pathlib import Path

from podium.app import connect_server, tune_process
from podium.authoring.client import App
from podium.authoring.files import use_folder
from podium.cli.logs import show_logs
from podium.cli.output import emit_json, note
from podium.cli.running import duration_s
from podium.cli.session import Session
from podium.server.serving import GRACE_S, Address, keep_serving

__all__ = ["Order", "serve_until_told"]


@dataclass(slots=True, frozen=True)
class Order:
    """The arguments of `podium serve`, as given."""

    host: str
    port: int
    role: str
    grace: str | None


async def serve_until_told(session: Session, order: Order) -> int:
    """Serve until a signal comes; return the exit code."""
    tune_process()
    settings = session.settings
    use_folder(Path.cwd())
    # Seed 002's key; the flag goes before it.
    known = settings.agent.get("graceful_shutdown_timeout", GRACE_S)
    grace_s = duration_s(str(known) if order.grace is None else order.grace)

    def told(url: str) -> None:
        if session.as_json:
            emit_json({"url": url, "role": order.role})
        note(f"Podium listens on {url} ({order.role}, {settings.database_url}). Ctrl-C ends it.")

    def connect() -> App:
        app = connect_server(settings, role=order.role)
        secrets = app.engine.registry.services.secrets
        show_logs(settings.log_level, settings.log_format, secrets=secrets)
        return app

    address = Address(order.host, order.port)
    await keep_serving(connect, address, settings=settings, grace_s=grace_s, told=told)
    note("Stopped.")
    return 0
