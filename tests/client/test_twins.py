"""The client that blocks is the other one, word for word, minus the waiting."""

import ast
import inspect

import pytest

import sync_client
from podium.client import AsyncClient, AsyncRunHandle, Client, RunHandle

PAIRS = [(AsyncClient, Client), (AsyncRunHandle, RunHandle)]


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_the_written_file_is_what_its_source_makes():
    made = sync_client.synchronous(sync_client.SOURCE.read_text("utf-8"))
    assert made == sync_client.TARGET.read_text("utf-8"), "run: python scripts/sync_client.py"


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_both_have_the_same_verbs_with_the_same_parameters(one, other):
    assert public(one) == public(other)
    for name in public(one):
        if callable(getattr(one, name)):
            parameters = inspect.signature(getattr(one, name)).parameters
            assert list(parameters) == list(inspect.signature(getattr(other, name)).parameters)


def test_nothing_waits_on_a_loop_in_the_one_that_blocks():
    tree = ast.parse(sync_client.TARGET.read_text("utf-8"))
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, waiting)] == []
    assert "sync" not in {getattr(node, "id", "") for node in ast.walk(tree)}
