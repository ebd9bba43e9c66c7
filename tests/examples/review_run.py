"""Runs the steps of the review in the order of its workflow, without an engine."""

from review.complexity import complexity
from review.documentation import documentation
from review.drafts import Draft
from review.edit import edit
from review.findings import FileEntry, Finding, Plan, Review
from review.plan import plan
from review.risky import risky
from review.verify import verify

REVIEWERS = (risky, complexity, documentation)


def entry(folder, name="app.py") -> FileEntry:
    """Return the plan's entry for one file of a folder."""
    return next(file for file in plan(str(folder))["files"] if file["path"] == name)


def findings_of(folder, name="app.py") -> list[Finding]:
    """Return what all reviewers say about one file."""
    file = entry(folder, name)
    return [each for reviewer in REVIEWERS for each in reviewer(file)["findings"]]


def found(folder, name="app.py") -> list[tuple[str, int]]:
    """Return rule and line of each finding in one file, in order of place."""
    return sorted({(each["rule"], each["line"]) for each in findings_of(folder, name)})


def verified(file, *findings):
    """Return the verdict about claims that somebody makes about a file."""
    return verify(file, [Review(findings=list(findings), omitted=0)])


def verdicts_of(planned: Plan):
    """Return the verdict about each planned file."""
    return [verify(file, [each(file) for each in REVIEWERS]) for file in planned["files"]]


def drafted(path, output_dir) -> Draft:
    """Review a folder up to the draft of its report."""
    planned = plan(str(path), output_dir=str(output_dir))
    return edit(planned, verdicts_of(planned))
