"""`podium validate`: every fault of a definition at once; nothing is run or imported."""

from pathlib import Path

import click

from podium.cli.loading import load_definition
from podium.cli.options import common, session
from podium.cli.output import emit, emit_json, error_document, fault_documents
from podium.errors import DefinitionError

__all__ = ["validate"]


@click.command(short_help="Find every fault in a definition.")
@click.argument("file", type=click.Path(path_type=Path))
@common
def validate(file: Path) -> int:
    """Find every fault in a definition, each with its place. Exits 2 if there is one."""
    here = session()
    try:
        workflow, warnings = load_definition(file, here.settings)
    except DefinitionError as error:
        if not here.as_json:
            raise
        document = {"valid": False, "faults": fault_documents(error.faults)}
        emit_json({**document, "error": error_document(error)})
        return error.exit_code
    if here.as_json:
        found = {"valid": True, "workflow": workflow.name, "version": workflow.content_hash}
        emit_json({**found, "tasks": len(workflow.tasks), "faults": fault_documents(warnings)})
        return 0
    for fault in warnings:
        emit(f"{file}:{fault}")
    many = f"{len(workflow.tasks)} task{'s' if len(workflow.tasks) != 1 else ''}"
    warned = f", {len(warnings)} warning{'s' if len(warnings) != 1 else ''}" if warnings else ""
    emit(f"{file}: {workflow.name!r} is valid ({many}{warned}).")
    return 0
