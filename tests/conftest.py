"""What all tests share: one switch, and where things are."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow cells too")


@pytest.fixture(scope="session")
def root():
    "The repository."
    return ROOT
