"""The public names of the test kit."""

import pytest

import podium.testing


def test_the_names_are_sorted_and_load_on_first_use() -> None:
    assert podium.testing.__all__ == sorted(podium.testing.__all__) == dir(podium.testing)
    assert all(getattr(podium.testing, name) is not None for name in podium.testing.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = podium.testing.nothing
