"""`mta.admin.version`: what `mta nodes` shows."""

from importlib.metadata import version as installed

from mta.admin.version import version


def test_it_is_that_of_the_package() -> None:
    assert version() == installed("mta")
