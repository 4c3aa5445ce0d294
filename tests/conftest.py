"""What all tests share: one switch, and where things are."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true",
                     help="run the slow cells and tests too")


def pytest_collection_modifyitems(config, items):
    "Slow tests are left out, and said to be, unless they are asked for."
    skip = pytest.mark.skip(reason="takes a minute: pytest --slow")
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root():
    "The repository."
    return ROOT


@pytest.fixture(autouse=True)
def one_thread():
    "Small networks are faster on one thread, and rounding is the same each time."
    torch = sys.modules.get("torch")
    before = torch and torch.get_num_threads()
    if torch:
        torch.set_num_threads(1)
    yield
    if torch:
        torch.set_num_threads(before)
