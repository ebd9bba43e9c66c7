"""Every rule: its id, severity, what it is about, why it matters and what to do instead."""

from typing import Final, NamedTuple

__all__ = ["RULES", "Rule"]


class Rule(NamedTuple):
    """One rule. Its letter names its kind: P parsing, R risk, C complexity, D docs, M model."""

    id: str
    severity: str
    title: str
    why: str
    fix: str


_ALL: Final = (
    Rule(
        "P001",
        "high",
        "cannot be parsed",
        "No rule can look into a file that Python itself cannot read.",
        "Correct the syntax, or review with the Python version the file is written for.",
    ),
    Rule(
        "R001",
        "high",
        "code run from text",
        "Whoever can influence the text runs code with this program's rights.",
        "Parse the data (ast.literal_eval, json) or dispatch through a table of functions.",
    ),
    Rule(
        "R002",
        "high",
        "shell command built at run time",
        "A value with a space or a semicolon becomes another command.",
        "Use subprocess.run with a list of arguments and no shell.",
    ),
    Rule(
        "R003",
        "high",
        "subprocess with a shell and a built command",
        "A value with a space or a semicolon becomes another command.",
        "Pass a list of arguments and drop shell=True.",
    ),
    Rule(
        "R004",
        "medium",
        "unpickling",
        "Loading a pickle runs whatever its author put into it.",
        "Use json, or verify a signature over the bytes before loading them.",
    ),
    Rule(
        "R005",
        "high",
        "YAML loaded without a safe loader",
        "The full loader builds any Python object the document names.",
        "Use yaml.safe_load, or pass Loader=yaml.SafeLoader.",
    ),
    Rule(
        "R006",
        "medium",
        "temporary name without a file",
        "Between choosing the name and opening it, somebody else can create the file.",
        "Use tempfile.mkstemp, NamedTemporaryFile or TemporaryDirectory.",
    ),
    Rule(
        "R007",
        "medium",
        "bare except",
        "It also catches KeyboardInterrupt and SystemExit, so the program cannot be stopped.",
        "Name the exceptions that are expected here.",
    ),
    Rule(
        "R008",
        "medium",
        "exception swallowed",
        "Every error, also the unforeseen one, disappears without a trace.",
        "Name the expected exceptions, and log or handle the others.",
    ),
    Rule(
        "R009",
        "medium",
        "mutable default argument",
        "The default is created once and shared by all calls.",
        "Default to None and create the value inside the function.",
    ),
    Rule(
        "R010",
        "low",
        "weak hash",
        "Collisions of MD5 and SHA-1 can be made at will.",
        "Use SHA-256, or pass usedforsecurity=False where nothing depends on it.",
    ),
    Rule(
        "R011",
        "medium",
        "network call without a time limit",
        "A peer that does not answer blocks the caller for ever.",
        "Pass timeout=.",
    ),
    Rule(
        "R012",
        "high",
        "SQL built from values",
        "A value with a quote changes the statement.",
        "Pass the values as parameters of the statement.",
    ),
    Rule(
        "R013",
        "high",
        "secret in the source",
        "Everyone who can read the source or its history has it.",
        "Read it from the environment or a secret store, and replace this one.",
    ),
    Rule(
        "R014",
        "high",
        "certificate check switched off",
        "Anyone on the way can read and change the traffic.",
        "Leave verification on; pass the path of your own authority's certificate.",
    ),
    Rule(
        "R015",
        "medium",
        "archive extracted without a filter",
        "A member named ../x or /x is written outside the target folder.",
        "Pass filter='data'.",
    ),
    Rule(
        "R016",
        "medium",
        "return in finally",
        "It discards the exception that is on its way, also KeyboardInterrupt.",
        "Return after the try statement.",
    ),
    Rule(
        "R017",
        "medium",
        "assertion that cannot fail",
        "A tuple with elements is always true.",
        "Remove the parentheses around condition and message.",
    ),
    Rule(
        "R018",
        "medium",
        "file made writable for everyone",
        "Every user of the machine can replace its content.",
        "Give write permission to the owner or a group only.",
    ),
    Rule(
        "R019",
        "medium",
        "code compiled from text",
        "What is compiled here is run somewhere with this program's rights.",
        "Make sure the text cannot come from outside, or parse it as data.",
    ),
    Rule(
        "C001",
        "medium",
        "too many branches",
        "Each branch is a case to test and to keep in mind.",
        "Move one decision into a function with a name.",
    ),
    Rule(
        "C002",
        "low",
        "long function",
        "It does not fit on a screen, so nobody reads it in one go.",
        "Split it where a comment or a blank line already separates two thoughts.",
    ),
    Rule(
        "C003",
        "medium",
        "deep nesting",
        "The condition for the innermost line is spread over many others.",
        "Return or continue early, or move the inner block into a function.",
    ),
    Rule(
        "C004",
        "low",
        "many parameters",
        "Callers mix them up, and each combination is a case to test.",
        "Group what belongs together in one object.",
    ),
    Rule(
        "D001",
        "low",
        "module without docstring",
        "A reader has to open the file to learn whether it is the right one.",
        "Say in one sentence what the module is responsible for.",
    ),
    Rule(
        "D002",
        "low",
        "class without docstring",
        "Its purpose and its users' duties must be guessed from the code.",
        "Say in one sentence what an instance stands for.",
    ),
    Rule(
        "D003",
        "low",
        "function without docstring",
        "What it promises must be guessed from the code.",
        "Say in one sentence what it does and what callers may rely on.",
    ),
    Rule(
        "M001",
        "medium",
        "seen by a model",
        "No rule of this review covers it: read the line and judge.",
        "See the finding.",
    ),
)

RULES: Final = {rule.id: rule for rule in _ALL}
