"""Workflows in files: what one defines, and the folder its code and its agents' files lie in."""

import sys
from pathlib import Path

import msgspec

from podium.core.definition import Workflow
from podium.core.template import Compiler
from podium.errors import Fault, NotFoundError, RequestError, did_you_mean
from podium.settings import Settings, run_settings

__all__ = ["WorkflowFile", "missing_file", "read_definition", "read_file", "use_folder"]


class WorkflowFile(msgspec.Struct, frozen=True, kw_only=True):
    """A definition as `podium.load` read it; to be started like any other workflow."""

    definition: Workflow
    folder: Path
    warnings: tuple[Fault, ...] = ()


def read_definition(path: Path, settings: Settings, *, expressions: Compiler) -> WorkflowFile:
    """Return what a YAML or JSON file defines; nothing is imported.

    `settings` give the defaults of the project and the agents it shares. Raises
    `DefinitionError` with all faults, `NotFoundError`, or `RequestError` PDM-R062.
    """
    # Imported here: whoever starts durable functions needs no YAML library.
    from podium.authoring.agents import files_beside, shared_agents  # noqa: PLC0415
    from podium.authoring.documents import load_workflow  # noqa: PLC0415

    folder = path.resolve().parent
    definition, warnings = load_workflow(
        read_file(path),
        source=str(path),
        expressions=expressions,
        defaults=run_settings(settings.workflow),
        read_file=files_beside(folder),
        agents=shared_agents(settings.agents, folder=folder),
    )
    return WorkflowFile(definition=definition, folder=folder, warnings=warnings)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file a person named; raises `NotFoundError` or `RequestError`."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise missing_file(path) from None
    except OSError as error:
        raise RequestError(
            f"The file {str(path)!r} cannot be read.",
            why=error.strerror or str(error),
            fix="Name a file that this user may read.",
            code="PDM-R062",
        ) from error


def missing_file(path: Path) -> NotFoundError:
    """Return the error for a file that is not there, with the one that was perhaps meant."""
    folder = path.parent
    known = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    fix = did_you_mean(path.name, [name for name in known if not name.startswith(".")], what="file")
    return NotFoundError(f"There is no file {str(path)!r}.", fix=fix, code="PDM-R409")


def use_folder(folder: Path | str) -> None:
    """Put a folder at the front of the import path, once."""
    name = str(folder)
    if name in sys.path:
        sys.path.remove(name)
    sys.path.insert(0, name)
