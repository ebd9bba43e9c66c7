"""Workflows: check a definition, publish versions, compare them, go back to one."""

from typing import Annotated, Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from podium.authoring.workflows import definition_of
from podium.core.outline import plan_document
from podium.server.access import Permission
from podium.server.dependencies import CallersApp, TheDefinitions
from podium.server.holdings import (
    Activate,
    Diff,
    Fault,
    PublishWorkflow,
    Validated,
    WorkflowPage,
    WorkflowShape,
    WorkflowVersion,
)
from podium.server.records import version_shape

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
AUTHOR: Final = {"needs": Permission.AUTHOR}

Name = FromPath[str]
Version = Annotated[str, QueryParameter(description="Number, label or hash.", max_length=255)]


@get("/v1/workflows", opt=READ, summary="List workflows")
async def list_workflows(app: CallersApp) -> WorkflowPage:
    """List the active version of every published workflow."""
    rows = await app.workflows.list()
    return WorkflowPage(items=[version_shape(row) for row in rows], next_cursor=None)


@post("/v1/workflows", status_code=201, opt=AUTHOR, summary="Publish a workflow")
async def publish(
    app: CallersApp, definitions: TheDefinitions, data: JSONBody[PublishWorkflow]
) -> WorkflowVersion:
    """Record a version; the same content again is the same version."""
    loaded = await definitions.read(data.definition)
    return version_shape(await app.workflows.publish(loaded.workflow, activate=data.activate))


@post("/v1/definitions/validate", status_code=200, opt=READ, summary="Check a definition")
async def validate(definitions: TheDefinitions, data: JSONBody[PublishWorkflow]) -> Validated:
    """Find every fault in a definition; nothing is stored."""
    loaded = await definitions.read(data.definition)
    return Validated(
        name=loaded.workflow.name,
        version=loaded.workflow.content_hash,
        warnings=[
            Fault(
                code=fault.code,
                detail=fault.message,
                why=fault.why,
                fix=fault.fix,
                path=fault.pointer,
                line=fault.line,
                column=fault.column,
            )
            for fault in loaded.warnings
        ],
        plan=plan_document(loaded.workflow),
    )


@get("/v1/workflows/{name:str}", opt=READ, summary="Get a workflow")
async def get_workflow(app: CallersApp, name: Name, version: Version = "") -> WorkflowShape:
    """Return a version with its definition and its outline; the active one by default."""
    row = await app.workflows.get(name, version)
    return WorkflowShape(
        **msgspec.structs.asdict(version_shape(row)),
        definition=msgspec.json.decode(row.body),
        plan=plan_document(definition_of(row)),
    )


@get("/v1/workflows/{name:str}/versions", opt=READ, summary="List the versions of a workflow")
async def list_versions(app: CallersApp, name: Name) -> WorkflowPage:
    """List all versions, newest first."""
    rows = await app.workflows.versions(name)
    return WorkflowPage(items=[version_shape(row) for row in rows], next_cursor=None)


@get("/v1/workflows/{name:str}/diff", opt=READ, summary="Compare two versions")
async def diff(app: CallersApp, name: Name, old: FromQuery[str], new: Version = "") -> Diff:
    """Compare two versions; the active one with `old` by default."""
    lines = list(await app.workflows.diff(name, old, new))
    return Diff(name=name, equal=not lines, diff=lines)


@post(
    ["/v1/workflows/{name:str}/activate", "/v1/workflows/{name:str}/rollback"],
    status_code=200,
    opt=AUTHOR,
    summary="Choose the version for new runs",
)
async def activate(app: CallersApp, name: Name, data: JSONBody[Activate]) -> WorkflowVersion:
    """Let new runs take a version, such as an older one; runs under way keep theirs."""
    return version_shape(await app.workflows.activate(name, data.version))


ROUTES: Final[tuple[Any, ...]] = (
    list_workflows,
    publish,
    validate,
    get_workflow,
    list_versions,
    diff,
    activate,
)
