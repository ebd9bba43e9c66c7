"""Settings: flag over environment over file over default, each with its source."""

from typing import Any

import pytest

from podium.core.definition import SECOND_US
from podium.errors import RequestError
from podium.settings import DEFAULT_STORE, merge_settings, run_settings


def merged(
    flags: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    file: dict[str, Any] | None = None,
) -> Any:
    return merge_settings(flags=flags or {}, environment=environment or {}, file=file or {})


def test_a_default_says_that_it_is_one() -> None:
    settings, sources = merged()
    assert settings.database_url == DEFAULT_STORE
    assert sources["database_url"].source == "default"


def test_flag_beats_environment_beats_file() -> None:
    file = {"database_url": "sqlite:///file.db"}
    environment = {"PODIUM_DATABASE_URL": "sqlite:///env.db"}
    flags = {"database_url": "sqlite:///flag.db"}
    assert merged(file=file)[0].database_url == "sqlite:///file.db"
    assert merged(environment=environment, file=file)[0].database_url == "sqlite:///env.db"
    assert merged(flags, environment, file)[0].database_url == "sqlite:///flag.db"


def test_the_seeds_database_url_counts_after_our_own() -> None:
    both = {"DATABASE_URL": "sqlite:///seed.db", "PODIUM_DATABASE_URL": "sqlite:///ours.db"}
    settings, sources = merged(environment={"DATABASE_URL": "sqlite:///seed.db"})
    assert (settings.database_url, sources["database_url"].source) == (
        "sqlite:///seed.db",
        "DATABASE_URL",
    )
    assert merged(environment=both)[0].database_url == "sqlite:///ours.db"


def test_text_from_the_environment_becomes_the_type_of_the_setting() -> None:
    environment = {"PODIUM_CAPACITY": "7", "PODIUM_TASK_MODULES": "a, b"}
    settings, _ = merged(environment=environment)
    assert settings.capacity == 7
    assert settings.task_modules == ("a", "b")


def test_an_unknown_key_in_the_file_is_refused_with_a_suggestion() -> None:
    with pytest.raises(RequestError) as caught:
        merged(file={"capcity": 3})
    assert caught.value.code == "PDM-R040"
    assert "capacity" in caught.value.fix


def test_a_value_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        merged(file={"capacity": "many"})
    assert caught.value.code == "PDM-R041"


def test_the_workflow_block_of_seed_002_shapes_every_run() -> None:
    settings = run_settings({"timeout": 60, "max_retries": 5, "retry_delay": 90})
    assert settings.timeout_us == 60 * SECOND_US
    assert settings.retry.max_retries == 5
    assert settings.retry.delay_initial_us == 90 * SECOND_US
    assert settings.retry.delay_max_us >= settings.retry.delay_initial_us


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ({"max_retriess": 2}, "PDM-R040"),
        ({"timeout": "soon"}, "PDM-R041"),
        ({"max_retries": -1}, "PDM-R041"),
        ({"max_retries": True}, "PDM-R041"),
    ],
)
def test_a_faulty_workflow_block_is_refused(block: dict[str, Any], code: str) -> None:
    with pytest.raises(RequestError) as caught:
        run_settings(block)
    assert caught.value.code == code
