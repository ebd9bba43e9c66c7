"""Finds the code behind names: compiled plans by version, functions by target.

Nothing is imported before a run needs it; validation never comes here.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from types import MethodType
from typing import Any, Final

import msgspec

from podium.core.definition import Workflow
from podium.core.plan import Plan, compile_plan
from podium.core.template import Compiler
from podium.errors import ConflictError, NotFoundError, RequestError, did_you_mean
from podium.ports.store import DefinitionRow, Store
from podium.runtime.code import CodeRun, Invocation
from podium.runtime.payloads import Payloads
from podium.runtime.services import Services

__all__ = ["Registry", "load_target", "target_of"]

_WORKFLOW: Final = msgspec.json.Decoder(Workflow)


class Registry:
    """See the module docstring.

    `tools` gives the target of each built-in `uses:`, such as `shell`; it is imported when the
    first step needs it. `services` is what attempts may use of this process.
    """

    def __init__(
        self,
        *,
        store: Store,
        payloads: Payloads,
        expressions: Compiler,
        tools: dict[str, str],
        organization: str = "default",
        local: Callable[[str], Workflow | None] = lambda name: None,
        services: Services | None = None,
    ) -> None:
        self.services = services or Services()
        self._store = store
        self._payloads = payloads
        self.expressions = expressions
        self._tools = tools
        self._organization = organization
        self._local = local
        self._plans: dict[str, Plan] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._published: dict[tuple[str, str], str] = {}
        """The version that this process published last, by organization and name."""

    def compile(self, workflow: Workflow) -> Plan:
        """Return the plan of a workflow, compiled once."""
        known = self._plans.get(workflow.content_hash)
        if known is None:
            known = compile_plan(
                workflow,
                expressions=self.expressions,
                decode=self._payloads.decode,
                offload=self._payloads.offload,
                has_model=self.services.has_model,
            )
            self._plans[known.def_hash] = known
        return known

    async def plan(self, def_hash: str) -> Plan:
        """Return the plan of a published version; raises `NotFoundError` if it is unknown."""
        known = self._plans.get(def_hash)
        if known is not None:
            return known
        row = await self._store.definition_by_hash(def_hash)
        if row is None:
            raise NotFoundError(
                f"The workflow version {def_hash} is not in this store.",
                why="Runs stay pinned to the version they were started with.",
                fix="Publish it again with `podium workflows publish FILE`.",
                code="PDM-R405",
            )
        plan = self.compile(_WORKFLOW.decode(row.body))
        self._plans[def_hash] = plan
        return plan

    async def named(self, name: str, version: str = "", *, organization: str = "") -> Plan:
        """Return the plan of a workflow by name, its active version unless one is given.

        It is looked for among those of `organization`, by default that of this process.
        """
        owner = organization or self._organization
        found = None if version else self._local(name)
        if found is not None:
            return await self.publish(found, organization=owner)
        row = await self._store.definition(owner, name, version)
        active = await self._store.definition(owner, name) if version else row
        if active is None and await self._store.definitions(owner, name):
            raise _inactive(name)
        if row is None:
            known = [each.name for each in await self._store.definitions(owner)]
            what = f"The workflow {name!r}" + (f" has no version {version!r}." if version else "")
            raise NotFoundError(
                what if version else f"{what} is not published in this store.",
                fix=did_you_mean(name, known, what="workflow"),
                code="PDM-R406",
            )
        return await self.plan(row.def_hash)

    async def deactivate(self, name: str, *, organization: str = "") -> bool:
        """Take the name of a workflow out of use; return whether it was in use.

        Runs that are under way go on. Publishing or activating a version brings it back.
        """
        owner = organization or self._organization
        self._published.pop((owner, name), None)
        return await self._store.deactivate(owner, name)

    async def publish(
        self, workflow: Workflow, *, activate: bool = True, organization: str = ""
    ) -> Plan:
        """Record a version of a workflow, once in a row, and return its plan."""
        plan = self.compile(workflow)
        key = (organization or self._organization, workflow.name)
        if self._published.get(key) != plan.def_hash:
            row = DefinitionRow(
                organization=key[0],
                name=workflow.name,
                def_hash=plan.def_hash,
                label=workflow.label,
                body=workflow.canonical(),
                created_us=self._store.now_us(),
            )
            await self._store.publish(row, activate=activate)
            self._published[key] = plan.def_hash
        return plan

    def remember(self, entrypoint: str, function: Callable[..., Any]) -> None:
        """Use `function` for `entrypoint` without importing it (tests, notebooks, `__main__`)."""
        self._functions[entrypoint] = function

    def code_run(self, plan: Plan, value: Any) -> Callable[[], CodeRun] | None:
        """Return what makes a fresh driver of a code workflow; None for graphs."""
        if not plan.is_code:
            return None
        return partial(self._drive, plan.workflow.entrypoint, value)

    def _drive(self, entrypoint: str, value: Any) -> CodeRun:
        return CodeRun(self._enter(entrypoint, value), self._payloads, self.services.secrets)

    async def _enter(self, entrypoint: str, value: Any) -> Any:
        # Loading and binding inside the coroutine turns their errors into the run's.
        function = self._functions.get(entrypoint) or load_target(entrypoint)
        function = getattr(function, "function", function)
        args, kwargs = bind_input(function, value)
        return await function(*args, **kwargs)

    def resolve(self, uses: str, arguments: Any) -> Invocation:
        """Return what `uses` runs with these arguments; raises what makes the attempt fail."""
        head, _, target = uses.partition(":")
        if head == "python":
            function = self._function(target)
            args, kwargs = bind_input(function, arguments)
            return Invocation(function, args, kwargs)
        tool = self._tools.get(head)
        if tool is None:
            raise RequestError(
                f"This process cannot run `uses: {uses}`.",
                fix=did_you_mean(head, ["python", *self._tools]),
                code="PDM-R021",
            )
        function = load_target(tool)
        args, kwargs = bind_input(function, arguments)
        return Invocation(function, args, kwargs)

    def verified(self, work: Callable[[], Invocation], verify: str) -> Invocation:
        """Return work that first asks whether an earlier attempt has done it."""
        found = work()
        check = self._function(verify.partition(":")[2])
        return Invocation(found.function, found.args, found.kwargs, check=check)

    def _function(self, target: str) -> Callable[..., Any]:
        function = self._functions.get(target) or load_target(target)
        inner: Callable[..., Any] = getattr(function, "function", function)
        return inner


def _inactive(name: str) -> ConflictError:
    return ConflictError(
        f"The workflow {name!r} is not active: nothing new is started of it.",
        why="Its versions are there, but somebody took the name out of use.",
        fix=f"Make a version active again: `podium workflows rollback {name} VERSION`.",
        code="PDM-C007",
        code_word="workflow_inactive",
        state="inactive",
        allowed=("publish", "rollback"),
    )


def target_of(function: Callable[..., Any]) -> str:
    """Return the target under which another process finds `function`.

    A program that is run as a script is `__main__` only to itself: elsewhere it is its file.
    """
    module = function.__module__
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        module = str(Path(file).resolve()) if file else module
    return f"{module}:{function.__qualname__}"


def _import(name: str) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    main = sys.modules["__main__"]
    if name == str(Path(getattr(main, "__file__", None) or "").resolve()):
        # A second copy of the running program would not share its state.
        return main
    with _SCRIPTS:
        return _script(name)


def _script(name: str) -> Any:
    alias = "podium_script_" + hashlib.sha256(name.encode()).hexdigest()[:16]
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, name)
        if spec is None or spec.loader is None or not Path(name).is_file():
            raise ModuleNotFoundError(f"No file {name!r}")
        sys.modules[alias] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[alias])
        except BaseException:
            # Half a module would be found by whoever asks next.
            del sys.modules[alias]
            raise
    return sys.modules[alias]


def load_target(target: str) -> Callable[..., Any]:
    """Import `module:function`, or `/path/to/script.py:function`.

    Raises `RequestError` that says which part is missing.
    """
    module_name, _, path = target.rpartition(":")
    try:
        found = _import(module_name)
    except ModuleNotFoundError as error:
        raise RequestError(
            f"The module {module_name!r} of {target!r} cannot be imported.",
            why=str(error),
            fix="The folder of the workflow file is on the import path: put the module there, "
            "or install the package that holds it.",
            code="PDM-R022",
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            known = [known for known in dir(found) if not known.startswith("_")]
            raise RequestError(
                f"{module_name!r} has no function {name!r}.",
                fix=did_you_mean(name, known),
                code="PDM-R023",
            )
        found = getattr(found, name)
    if not callable(found):
        raise RequestError(f"{target!r} is not a function.", code="PDM-R023")
    function: Callable[..., Any] = found
    return function


_SCRIPTS: Final = threading.RLock()
"""Held while a script is imported: another thread must not see half of it."""


def _signature(function: Callable[..., Any]) -> tuple[inspect.Signature, frozenset[str]]:
    """Return the signature, and the names that together make a right call without binding."""
    if isinstance(function, MethodType):
        # The function, not the method: that would keep the object it is bound to alive.
        return _read_signature(function.__func__, is_bound=True)
    return _read_signature(function, is_bound=False)


@lru_cache(maxsize=1024)
def _read_signature(
    function: Callable[..., Any], *, is_bound: bool
) -> tuple[inspect.Signature, frozenset[str]]:
    signature = inspect.signature(function)
    if is_bound:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = signature.parameters.values()
    if any(each.kind not in named for each in parameters):
        return signature, frozenset()
    return signature, frozenset(each.name for each in parameters)


def bind_input(function: Callable[..., Any], value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and named arguments for `function` from one value.

    A map gives named arguments; null gives none; anything else is the only argument.
    """
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    if value is None:
        args, kwargs = (), {}
    elif isinstance(value, dict):
        args, kwargs = (), value
    else:
        args, kwargs = (value,), {}
    signature, required = _signature(function)
    if kwargs and required == kwargs.keys():
        return args, kwargs
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(function, "__qualname__", str(function))
        raise RequestError(
            f"{name} cannot be called with the given arguments: {error}.",
            why=f"Its signature is {name}{signature}.",
            fix="Make `with:` (or the input) match the parameters.",
            code="PDM-R024",
        ) from error
    return args, kwargs
