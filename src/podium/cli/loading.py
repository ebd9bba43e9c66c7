"""What `podium run` is given: a file, `module:workflow`, or the name of a published workflow."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from podium.app import expressions
from podium.authoring.decorators import DurableWorkflow
from podium.authoring.files import missing_file, read_definition, use_folder
from podium.authoring.graph import Graph
from podium.core.definition import Workflow
from podium.errors import Fault, NotFoundError, RequestError, did_you_mean
from podium.runtime.services import FOLDER_LABEL
from podium.settings import Settings

if TYPE_CHECKING:
    from podium.authoring.client import Startable

__all__ = ["FOLDER_LABEL", "Loaded", "load", "load_definition", "use_folder", "use_folders_of"]

TEXT_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


@dataclass(slots=True, frozen=True)
class Loaded:
    """Something that can be started, and the folder its code is imported from."""

    startable: "Startable"
    definition: Workflow | None
    """None for a name, which only the store can resolve."""
    folder: Path
    warnings: tuple[Fault, ...] = ()


def use_folders_of(rows: Any) -> None:
    """Make the code of stored runs importable: each keeps its folder as a label."""
    for folder in {row.labels.get(FOLDER_LABEL, "") for row in rows} - {""}:
        if folder not in sys.path:
            sys.path.append(folder)


def load(target: str, settings: Settings) -> Loaded:
    """Return what `target` names; raises `NotFoundError`, `RequestError`, `DefinitionError`."""
    path = Path(target)
    if path.suffix.lower() in TEXT_SUFFIXES or (path.is_file() and path.suffix != ".py"):
        return _load_text(path, settings)
    name, colon, attribute = target.rpartition(":")
    if path.suffix == ".py":
        return _from_module(_import_file(path), "", target, path.resolve().parent)
    if colon and name.endswith(".py"):
        return _from_module(
            _import_file(Path(name)), attribute, target, Path(name).resolve().parent
        )
    use_folder(Path.cwd())
    if colon:
        return _from_module(_import(name, target), attribute, target, Path.cwd())
    if "/" in target:
        raise missing_file(path)
    return Loaded(target, None, Path.cwd())


def _load_text(path: Path, settings: Settings) -> Loaded:
    folder = path.resolve().parent
    workflow, warnings = load_definition(path, settings)
    use_folder(folder)
    return Loaded(workflow, workflow, folder, warnings)


def load_definition(path: Path, settings: Settings) -> tuple[Workflow, tuple[Fault, ...]]:
    """Return the workflow of a definition file and its warnings; nothing is imported."""
    found = read_definition(path, settings, expressions=expressions())
    return found.definition, found.warnings


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise missing_file(path)
    use_folder(path.resolve().parent)
    return _import(path.stem, str(path))


def _import(name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RequestError(
            f"The module {name!r} of {target!r} cannot be imported.",
            why=str(error),
            fix="Start from the folder that holds it, or install what it imports.",
            code="PDM-R022",
        ) from error
    except SyntaxError as error:
        raise RequestError(
            f"The module {name!r} is not valid Python.",
            why=f"{error.filename}:{error.lineno}: {error.msg}",
            fix="Correct that line.",
            code="PDM-R063",
        ) from error


def _from_module(module: ModuleType, name: str, target: str, folder: Path) -> Loaded:
    found = {key: value for key, value in vars(module).items() if _is_startable(value, module)}
    if not name:
        if len(found) != 1:
            raise _which(target, list(found))
        name = next(iter(found))
    value: Any = found.get(name) or getattr(module, name, None)
    if not _is_startable(value):
        raise NotFoundError(
            f"{module.__name__!r} has no workflow {name!r}.",
            why="A workflow is an `async def` with @podium.workflow, or a podium.Graph.",
            fix=did_you_mean(name, list(found), what="workflow"),
            code="PDM-R410",
        )
    return Loaded(value, _definition(value), folder)


def _is_startable(value: object, module: ModuleType | None = None) -> bool:

    if isinstance(value, DurableWorkflow):
        return module is None or value.__module__ == module.__name__
    return isinstance(value, Graph | Workflow)


def _definition(value: Any) -> Workflow:

    if isinstance(value, Workflow):
        return value
    if isinstance(value, Graph):
        return value.build(expressions=expressions())
    definition: Workflow = value.definition
    return definition


def _which(target: str, names: list[str]) -> RequestError:
    count = "several workflows" if names else "no workflow"
    fix = (
        f"Name one: {target}:{names[0]}"
        if names
        else "Decorate an `async def` with @podium.workflow."
    )
    return RequestError(
        f"{target!r} defines {count}.",
        why=f"It defines {', '.join(names)}." if names else "",
        fix=fix,
        code="PDM-R064",
    )


def missing_definition(target: str) -> NotFoundError:
    """Return the error for a target that is neither a file nor a module."""
    return NotFoundError(
        f"{target!r} is neither a file nor module:workflow.",
        fix=f"For a published workflow: podium workflows show {target}",
        code="PDM-R409",
    )
