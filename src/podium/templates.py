"""Finds the projects that `podium init` copies: packaged ones, or the examples of a checkout.

The examples are the only source; the build puts them into the wheel under `podium/templates/`.
"""

from pathlib import Path
from typing import Final

from podium.errors import NotFoundError, did_you_mean

__all__ = ["list_templates", "template_dir", "template_files"]

LEFT_BEHIND: Final = frozenset({"answers.json", "report.md", "report.json"})
NAMES: Final = ("agent", "etl", "review")

_PACKAGED: Final = Path(__file__).parent / "templates"
_CHECKOUT: Final = Path(__file__).parents[2] / "examples"


def list_templates() -> list[str]:
    """Return the names of the templates that can be copied now."""
    return [name for name in NAMES if _find(name)]


def template_dir(name: str) -> Path:
    """Return the folder of a template, which holds its `workflow.yaml`; do not change it.

    Raises `NotFoundError` with what exists.
    """
    known = list_templates()
    found = _find(name) if name in known else None
    if found is None:
        fix = did_you_mean(name, known)
        raise NotFoundError(f"There is no template {name!r}.", fix=fix)
    return found


def template_files(name: str) -> list[Path]:
    """Return the files of a template relative to its folder, without what runs leave behind."""
    folder = template_dir(name)
    relative = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in relative if not _is_left_behind(path))


def _find(name: str) -> Path | None:
    for place in (_PACKAGED, _CHECKOUT):
        if (place / name / "workflow.yaml").is_file():
            return place / name
    return None


def _is_left_behind(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    # Runs write into the folder they are started in.
    return hidden or path.suffix == ".pyc" or path.name in LEFT_BEHIND
