"""A project on disk: its `podium.yaml`, the environment and flags, merged into settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from msgspec.structs import replace

from podium.errors import DefinitionError, RequestError
from podium.settings import Settings, Sourced, merge_settings

__all__ = ["PROJECT_FILE", "project_settings", "read_project_file"]

PROJECT_FILE: Final = "podium.yaml"
BYTES_MAX: Final = 1024 * 1024


def project_settings(
    *, flags: Mapping[str, Any], environment: Mapping[str, str], folder: Path
) -> tuple[Settings, dict[str, Sourced]]:
    """Return the settings of the project in `folder`, and where each one came from.

    Another file than `podium.yaml` is named by `PODIUM_CONFIG`. Raises `RequestError` or
    `DefinitionError` for a file that cannot be used.
    """
    named = environment.get("PODIUM_CONFIG", "")
    path = folder / (named or PROJECT_FILE)
    file = read_project_file(path, is_needed=bool(named))
    settings, sources = merge_settings(
        flags=flags, environment=environment, file=file, file_name=named or PROJECT_FILE
    )
    if settings.agents:
        settings = replace(settings, agents=_agents(path))
    return settings, sources


def _agents(path: Path) -> dict[str, Any]:
    """Return the agents of a project file, checked where they stand in its text."""
    # Imported here: most projects have no agents, and the reader brings a YAML library.
    from podium.authoring.agents import shared_agents  # noqa: PLC0415
    from podium.authoring.schema import ALIASES, EQUIVALENTS  # noqa: PLC0415
    from podium.authoring.yaml_text import read_yaml  # noqa: PLC0415

    tree = read_yaml(path.read_text("utf-8"))
    return dict(
        shared_agents(
            tree.value["agents"],
            folder=path.resolve().parent,
            places=tree.places(ALIASES, EQUIVALENTS),
            source=str(path),
        )
    )


def read_project_file(path: Path, *, is_needed: bool = False) -> dict[str, Any]:
    """Return the content of a project file; empty if there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        if not is_needed:
            return {}
        raise _unreadable(path, "It does not exist.") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(path, "It is not UTF-8 text.") from error
    if len(data) > BYTES_MAX:
        raise _unreadable(path, f"It has {len(data):,} bytes; at most {BYTES_MAX:,} are read.")
    return _parse(text, path)


def _parse(text: str, path: Path) -> dict[str, Any]:
    # Imported here: most projects have no such file, and the reader brings a YAML library.
    from podium.authoring.yaml_text import read_yaml  # noqa: PLC0415

    if not text.strip():
        return {}
    tree = read_yaml(text)
    if tree.faults:
        raise DefinitionError(tree.faults, source=str(path))
    value: Any = tree.value
    if not isinstance(value, dict):
        raise _unreadable(path, "It holds no keys.")
    return cast("dict[str, Any]", value)


def _unreadable(path: Path, why: str) -> RequestError:
    return RequestError(
        f"The settings file {str(path)!r} cannot be used.",
        why=why,
        fix="Correct it, or name another one with PODIUM_CONFIG.",
        code="PDM-R043",
    )
