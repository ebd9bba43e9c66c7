"""Copies templates: whole, or not at all."""

import shutil
from pathlib import Path

from podium.errors import ConflictError, RequestError
from podium.templates import template_dir, template_files

__all__ = ["copy_template"]


def copy_template(template: str, folder: Path) -> list[str]:
    """Copy a template into a new or empty folder and return its files.

    Raises `NotFoundError` for an unknown template and `ConflictError` if something is there.
    """
    source, files = template_dir(template), template_files(template)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(
            f"{str(folder)!r} is not empty.",
            why="A template never overwrites anything.",
            fix="Name a new folder.",
            code="PDM-C031",
        )
    try:
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)
    except OSError as error:
        raise RequestError(
            f"The template cannot be copied to {str(folder)!r}.",
            why=error.strerror or str(error),
            fix="Name a folder that this user may write.",
            code="PDM-R069",
        ) from error
    return [name.as_posix() for name in files]
