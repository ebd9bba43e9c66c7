"""Risky calls. A rule sees a call only if its name surely means the library's function."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

from .findings import Hit
from .tree import Module

__all__ = ["call_hits"]

# A rule returns what to say about a call, or nothing.
CallRule = Callable[[Module, ast.Call], str]


def call_hits(module: Module) -> Iterator[Hit]:
    """Yield what is risky about the calls of one file, and about switched-off TLS checks."""
    for call in module.calls:
        rule, check = _rule_for(module, call)
        message = check(module, call)
        if message:
            yield Hit(rule, call.lineno, call.col_offset, message)
        if _is_unverified(module, call):
            text = "The certificate of the server is not checked."
            yield Hit("R014", call.lineno, call.col_offset, text)
    for target, value in module.assignments:
        if _switches_tls_off(module, target, value):
            text = "The certificate or the name of the server is not checked."
            yield Hit("R014", target.lineno, target.col_offset, text)


def _rule_for(module: Module, call: ast.Call) -> tuple[str, CallRule]:
    name = module.qualified(call.func)
    if name in _BY_NAME:
        return _BY_NAME[name]
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return _BY_METHOD.get(method, ("", _nothing))


def _nothing(_module: Module, _call: ast.Call) -> str:
    return ""


def _argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    """Return an argument given by position or by name; None if it may be hidden in `*args`."""
    for word in call.keywords:
        if word.arg == name:
            return word.value
    before = call.args[: index + 1]
    if len(before) > index and not any(isinstance(each, ast.Starred) for each in before):
        return before[index]
    return None


def _unpacks(call: ast.Call) -> bool:
    stars = any(isinstance(each, ast.Starred) for each in call.args)
    return stars or any(word.arg is None for word in call.keywords)


def _is_literal(node: ast.expr) -> bool:
    """Return whether a value is fixed in the source: built of literals and CONSTANTS only."""
    return all(
        isinstance(each, _LITERAL_PARTS) or (isinstance(each, ast.Name) and each.id.isupper())
        for each in ast.walk(node)
    )


_LITERAL_PARTS: Final = (
    *(ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.List, ast.Tuple),
    *(ast.operator, ast.expr_context),
)


def _is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _dynamic_text(module: Module, call: ast.Call) -> str:
    code = _argument(call, 0, "source")
    if code is None or _is_literal(code):
        return ""
    return f"{module.qualified(call.func)}() runs text built at run time."


def _compiled_text(_module: Module, call: ast.Call) -> str:
    flags = _argument(call, 3, "flags")
    only_parsed = flags and any("ONLY_AST" in _last(each) for each in ast.walk(flags))
    code = _argument(call, 0, "source")
    if only_parsed or code is None or _is_literal(code):
        return ""
    return "compile() turns text built at run time into code."


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _shell_text(module: Module, call: ast.Call) -> str:
    command = call.args[0] if call.args else next((w.value for w in call.keywords), None)
    if command is None or _is_literal(command):
        return ""
    return f"{module.qualified(call.func)}() gives a built command to a shell."


def _shell_flag(module: Module, call: ast.Call) -> str:
    if not _is_true(next((w.value for w in call.keywords if w.arg == "shell"), None)):
        return ""
    command = _argument(call, 0, "args")
    if command is None or _is_literal(command):
        return ""
    return f"{module.qualified(call.func)}() gives a built command to a shell."


def _unpickles(module: Module, call: ast.Call) -> str:
    return f"{module.qualified(call.func)}() runs what the data says."


def _unsafe_yaml(module: Module, call: ast.Call) -> str:
    if module.qualified(call.func).startswith("yaml.unsafe_"):
        return "yaml.unsafe_load() builds any object the document names."
    loader = _argument(call, 1, "Loader")
    if loader is None:
        return "" if _unpacks(call) else "yaml.load() is called without a safe loader."
    unsafe = {"yaml.Loader", "yaml.UnsafeLoader", "yaml.CLoader"}
    name = module.qualified(loader)
    return f"{name} builds any object the document names." if name in unsafe else ""


def _temporary_name(_module: Module, _call: ast.Call) -> str:
    return "mktemp() returns a name that anyone can take first."


def _weak_hash(module: Module, call: ast.Call) -> str:
    if any(word.arg in {"usedforsecurity", None} for word in call.keywords):
        return ""
    return f"{module.qualified(call.func)}() is not collision resistant."


def _weak_hash_by_name(module: Module, call: ast.Call) -> str:
    name = _argument(call, 0, "name")
    if not isinstance(name, ast.Constant) or str(name.value).lower() not in {"md5", "sha1"}:
        return ""
    return _weak_hash(module, call)


def _no_timeout(module: Module, call: ast.Call) -> str:
    name = module.qualified(call.func)
    # urlopen takes it as its third argument; the others only by name.
    by_place = len(call.args) > 2 and name == "urllib.request.urlopen"
    if by_place or _unpacks(call) or any(word.arg == "timeout" for word in call.keywords):
        return ""
    return f"{name}() waits for ever for an answer."


_SQL: Final = re.compile(
    r"\s*(?:select\b.*\bfrom|insert\s+(?:or\s+\w+\s+)?into|update\b.*\bset|delete\s+from"
    r"|replace\s+into|(?:create|drop|alter|truncate)\s+(?:table|index|view|database|user))\b",
    re.IGNORECASE | re.DOTALL,
)


def _built_sql(_module: Module, call: ast.Call) -> str:
    text = call.args[0] if call.args else None
    if text is None or _is_literal(text) or not _SQL.match(_sql_text(text)):
        return ""
    return "The SQL statement is built from values."


def _sql_text(node: ast.expr) -> str:
    """Return the fixed text of an expression that builds a string, `?` for each value."""
    after = ""
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        after, node = _fixed(node.right) + after, node.left
    match node:
        case ast.JoinedStr(values=parts):
            return "".join(map(_fixed, parts)) + after
        case ast.BinOp(left=template, op=ast.Mod()):
            return _fixed(template) + after
        case ast.Call(func=ast.Attribute(value=template, attr="format")):
            return _fixed(template) + after
        case _:
            return _fixed(node) + after


def _fixed(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "?"


def _extracts(module: Module, call: ast.Call) -> str:
    # zipfile has a method of this name that is safe, so both imports leave the matter open.
    if not module.imports("tarfile") or module.imports("zipfile") or _unpacks(call):
        return ""
    if _argument(call, 3, "filter") is not None or any(w.arg == "filter" for w in call.keywords):
        return ""
    return "extractall() writes wherever the archive says."


def _world_writable(_module: Module, call: ast.Call) -> str:
    mode = call.args[-1] if call.args else None
    mode = next((word.value for word in call.keywords if word.arg == "mode"), mode)
    if isinstance(mode, ast.Constant) and isinstance(mode.value, int) and mode.value & 0o002:
        return f"Mode {mode.value:#o} lets every user write."
    return ""


def _is_unverified(module: Module, call: ast.Call) -> bool:
    if module.qualified(call.func) == "ssl._create_unverified_context":
        return True
    if not module.imports("requests") and not module.imports("httpx"):
        return False
    return any(word.arg == "verify" and _is_false(word.value) for word in call.keywords)


def _switches_tls_off(module: Module, target: ast.expr, value: ast.expr) -> bool:
    if not isinstance(target, ast.Attribute) or not module.imports("ssl"):
        return False
    if target.attr == "check_hostname":
        return _is_false(value)
    return target.attr == "verify_mode" and module.qualified(value) == "ssl.CERT_NONE"


def _named(rule: str, check: CallRule, names: str) -> dict[str, tuple[str, CallRule]]:
    return dict.fromkeys(names.split(), (rule, check))


_BY_NAME: Final = {
    **_named("R001", _dynamic_text, "eval exec builtins.eval builtins.exec"),
    **_named("R019", _compiled_text, "compile builtins.compile"),
    **_named(
        "R002",
        _shell_text,
        "os.system os.popen subprocess.getoutput subprocess.getstatusoutput "
        "asyncio.create_subprocess_shell",
    ),
    **_named(
        "R003",
        _shell_flag,
        "subprocess.run subprocess.call subprocess.check_call subprocess.check_output "
        "subprocess.Popen",
    ),
    **_named(
        "R004",
        _unpickles,
        "pickle.load pickle.loads pickle.Unpickler marshal.load marshal.loads shelve.open "
        "dill.load dill.loads cloudpickle.load cloudpickle.loads joblib.load pandas.read_pickle",
    ),
    **_named("R005", _unsafe_yaml, "yaml.load yaml.load_all yaml.unsafe_load yaml.unsafe_load_all"),
    **_named("R006", _temporary_name, "tempfile.mktemp"),
    **_named("R010", _weak_hash, "hashlib.md5 hashlib.sha1"),
    **_named("R010", _weak_hash_by_name, "hashlib.new"),
    **_named(
        "R011",
        _no_timeout,
        "requests.get requests.post requests.put requests.patch requests.delete requests.head "
        "requests.options requests.request urllib.request.urlopen",
    ),
    **_named("R018", _world_writable, "os.chmod"),
}
_BY_METHOD: Final = {
    **_named("R012", _built_sql, "execute executemany executescript"),
    **_named("R015", _extracts, "extractall"),
    **_named("R018", _world_writable, "chmod"),
}
