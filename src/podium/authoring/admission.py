"""What definitions that come over the network may name: code of listed modules, listed programs.

A local file is trusted as the person who runs it is. A definition that somebody sent is data:
without this check it could name any function of any installed package.
"""

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from podium.core.agents import AgentSpec
from podium.core.definition import Task, Workflow
from podium.core.graph import all_tasks
from podium.errors import AccessError, did_you_mean
from podium.runtime.egress import is_public
from podium.runtime.registry import load_target

__all__ = ["Admission"]

FILE_TOOLS: Final = ("read_file", "grep")
LOADER_VARIABLES: Final = ("PATH", "LD_", "DYLD_", "PYTHON")
"""Variables that change which program a name means; they may not be set from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The lists of one process; both are empty unless its operator filled them."""

    task_modules: Collection[str] = ()
    allow_shell: Collection[str] = ()
    agents: Mapping[str, AgentSpec] = field(default_factory=dict)
    """Agents of the operator, by slug: as declared there, they may do what is declared there."""

    def check(self, workflow: Workflow) -> None:
        """Raise `AccessError` 403 for the first thing the definition may not name."""
        for task in all_tasks(workflow.tasks):
            self._check_uses(task)
        for slug, agent in (workflow.agents or {}).items():
            if self.agents.get(slug) != agent:
                self._check_agent(agent)

    def check_edit(self, workflow: Workflow, arguments: Any) -> None:
        """Raise `AccessError` 403 if other arguments would have a program run that is not listed.

        Which step they are for is not looked at: that a workflow has a shell task is enough.
        """
        given: dict[str, Any] = arguments if isinstance(arguments, dict) else {}
        if any(task.uses == "shell" for task in all_tasks(workflow.tasks)):
            if "command" in given:
                self._check_program(given)
            _check_environment(given)

    def _check_uses(self, task: Task) -> None:
        self._check_functions(task.uses, task.verify)
        if task.uses == "shell":
            self._check_program(task.with_)

    def _check_agent(self, agent: AgentSpec) -> None:
        self._check_functions(agent.fallback)
        for tool in agent.tools:
            self._check_functions(tool.uses, tool.verify)
            if tool.uses in FILE_TOOLS:
                raise _refused(
                    f"An agent from outside may not have the tool {tool.uses!r}.",
                    why="It would read files of the server.",
                    fix="Declare the agent under `agents:` in podium.yaml, and name it here.",
                )
            for host in tool.hosts:
                if is_inside(host):
                    raise _refused(
                        f"An agent from outside may not ask {host!r}.",
                        why="It is an address that only this machine or its network can reach.",
                        fix="Declare the agent under `agents:` in podium.yaml, and name it here.",
                    )

    def _check_functions(self, *named: str) -> None:
        for uses in named:
            kind, _, target = uses.partition(":")
            if kind == "python":
                self._check_target(target)

    def _check_target(self, target: str) -> None:
        module, _, name = target.rpartition(":")
        if module not in self.task_modules:
            raise _refused(
                f"The function {target!r} may not be named by a definition from outside.",
                why="Its module is not listed in `task_modules`.",
                fix=did_you_mean(module, sorted(self.task_modules), what="module"),
            )
        # A module's namespace also holds what it imports: only its own functions are meant.
        importlib.import_module(module)
        function: Any = load_target(target)
        if "." in name or getattr(function, "__module__", module) != module:
            raise _refused(
                f"The function {target!r} is not defined in {module!r}.",
                why="Only functions of the listed modules themselves may be named.",
                fix="Define a function there that does exactly what is wanted.",
            )

    def _check_program(self, arguments: Any) -> None:
        given: dict[str, Any] = arguments if isinstance(arguments, dict) else {}
        command = given.get("command")
        program = command[0] if isinstance(command, Sequence) and command else command
        if program not in self.allow_shell:
            raise _refused(
                f"The program {program!r} may not be run by a definition from outside.",
                why="It is not listed in `allow_shell`, or is no plain text.",
                fix="List it, such as `allow_shell: [git, cp]` in podium.yaml.",
            )
        _check_environment(given)


def _check_environment(arguments: dict[str, Any]) -> None:
    environment = arguments.get("env") or {}
    for name in environment if isinstance(environment, dict) else ("${{ … }}",):
        if str(name).startswith(("${{", *LOADER_VARIABLES)):
            raise _refused(
                f"The variable {name!r} may not be set from outside.",
                why="It changes which program a name means.",
                fix="Set it for the server instead.",
            )


def is_inside(entry: str) -> bool:
    """Return whether an entry of `hosts` is an address that is not public.

    Names need no judgement here: one that leads to such an address is refused when it is asked.
    """
    try:
        return not is_public(ip_address(urlsplit(f"//{entry}").hostname or ""))
    except ValueError:
        return False


def _refused(what: str, *, why: str, fix: str) -> AccessError:
    return AccessError(what, why=why, fix=fix, code="PDM-R120", code_word="task_not_allowed")
