"""Settings: defaults, file, environment; each mistake is named with its cure."""
import pytest

from litlab.core.extras import extra_of, require
from litlab.core.settings import OPTIONS, load_settings


def write(folder, text):
    file = folder / "mine.ini"
    file.write_text(text)
    return file


def test_file_and_environment_override_the_defaults(tmp_path):
    file = write(tmp_path, "[quick]\nn_seeds = 4\n[sqs]\nregion = eu-west-1\n")
    read = load_settings(file, environ={"LITLAB_QUICK_POLYHEDRA_N": "321"})
    assert read.profile.n_seeds == 4
    assert read.profile.polyhedra_n == 321
    assert read.sqs.region == "eu-west-1"
    assert read.full.n_seeds == OPTIONS["full"]["n_seeds"].default


def test_environment_wins_over_the_file(tmp_path):
    file = write(tmp_path, "[full]\nn_seeds = 4\n")
    read = load_settings(file, "full", {"LITLAB_FULL_N_SEEDS": "6"})
    assert read.profile_name == "full" and read.profile.n_seeds == 6


@pytest.mark.parametrize("text, words", [
    ("[quik]\nn_seeds = 3", ["mine.ini", "[quik]", "'quick'"]),
    ("[quick]\nseeds = 3", ["mine.ini", "'seeds'", "[quick]", "'n_seeds'"]),
    ("[quick]\nn_seeds = -1", ["mine.ini", "n_seeds", "[quick]", "'-1'", "1 to 100"]),
    ("[quick]\nn_seeds = 2.5", ["n_seeds", "'2.5'", "whole number"]),
    ("[parsl]\nprovider = moon", ["provider", "'moon'", "slurm"]),
    ("[ray]\naddress = nowhere", ["address", "'nowhere'", "host:port"]),
    ("[DEFAULT]\nn_seeds = 3", ["mine.ini", "[DEFAULT]"]),
    ("n_seeds = 3", ["mine.ini", "can't be read"]),
    ("[quick]\nn_seeds = 3\nn_seeds = 4", ["mine.ini", "n_seeds"]),
    ("[empty_room]\n", ["mine.ini", "[empty_room]"]),
])
def test_mistakes_in_the_file(tmp_path, text, words):
    with pytest.raises(ValueError) as caught:
        load_settings(write(tmp_path, text), environ={})
    assert [w for w in words if w not in str(caught.value)] == []


@pytest.mark.parametrize("name, value, words", [
    ("LITLAB_QUICK_N_SEEDS", "x", ["LITLAB_QUICK_N_SEEDS", "n_seeds", "'x'"]),
    ("LITLAB_QUICK_SEEDS", "3", ["LITLAB_QUICK_SEEDS", "'seeds'", "n_seeds"]),
    ("LITLAB_QIUCK_N_SEEDS", "3", ["LITLAB_QIUCK_N_SEEDS", "[qiuck]", "quick"]),
])
def test_mistakes_in_the_environment(name, value, words):
    with pytest.raises(ValueError) as caught:
        load_settings(environ={name: value})
    assert [w for w in words if w not in str(caught.value)] == []


def test_reserved_variables_are_no_settings():
    load_settings(environ={"LITLAB_DATA": "x", "LITLAB_CACHE": "y"})


def test_named_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no.ini"):
        load_settings(tmp_path / "no.ini")
    with pytest.raises(FileNotFoundError, match="gone.ini"):
        load_settings(environ={"LITLAB_SETTINGS": str(tmp_path / "gone.ini")})


def test_unknown_profile():
    with pytest.raises(ValueError, match="'quick' or 'full'.*'slow'"):
        load_settings(profile="slow")


def test_secrets_are_hidden():
    text = "amqp://user:password@host"
    read = load_settings(environ={"LITLAB_RABBITMQ_URL": text})
    assert read.rabbitmq.url == text and "password" not in repr(read)
    with pytest.raises(ValueError) as caught:
        load_settings(environ={"LITLAB_RABBITMQ_URL": "user:password"})
    assert "password" not in str(caught.value)


def test_unknown_section_is_an_attribute_error():
    with pytest.raises(AttributeError, match="astrology"):
        _ = load_settings(environ={}).astrology


def test_missing_package_names_its_extra():
    assert extra_of("torch") == "torch" and extra_of("sklearn") == "knots"
    with pytest.raises(ImportError, match=r"litlab\[all\]"):
        require("surely_not_installed")
