"Small clusters of this machine: found by settings, the same results, nothing left."

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

if not all(map(find_spec, ("ray", "parsl", "distributed", "numba"))):
    pytest.skip("needs pip install 'litlab[parallel]'", allow_module_level=True)

from litlab.core.claims import NotRun, Run  # noqa: E402
from litlab.core.settings import load_settings  # noqa: E402
from litlab.parallel import clusters, launch  # noqa: E402
from litlab.parallel.executors import engine_options, make_executor  # noqa: E402
from litlab.parallel.providers import parsl_provider  # noqa: E402


def has_slurm():
    try:
        return bool([launch.program(p) for p in ("slurmctld", "slurmd", "munged")])
    except FileNotFoundError:
        return False


needs_slurm = pytest.mark.skipif(not has_slurm(), reason="Slurm isn't installed: "
                                 "apt-get install slurmctld slurmd slurm-client munge")


def seen(folder):
    "Living processes that know a folder, by their environment or command."
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            known = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
            if folder.encode() in known and b"resource_tracker" not in known:
                found.append((path / "cmdline").read_text())
    return found


@pytest.fixture
def left(monkeypatch):
    "A place for temporary files, where nothing may be left, nor a process of it."
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield folder
        assert not os.listdir(folder) and not seen(folder)
    assert {k: v for k, v in os.environ.items() if k.startswith("LITLAB_")} == {
        k: v for k, v in before.items() if k.startswith("LITLAB_")}


@pytest.fixture(scope="module")
def alone():
    return clusters.pi_there("serial", 3)[1]


def test_environment_comes_back(monkeypatch):
    monkeypatch.setenv("LITLAB_RAY_ADDRESS", "old:1")
    with pytest.raises(KeyError), launch.environment(
            LITLAB_RAY_ADDRESS="new:2", LITLAB_DASK_SCHEDULER="tcp://new:3") as said:
        assert (said.ray.address, said.dask.scheduler) == ("new:2", "tcp://new:3")
        raise KeyError
    assert load_settings().ray.address == "old:1"
    assert "LITLAB_DASK_SCHEDULER" not in os.environ


def test_a_program_that_does_not_start(left):
    with launch.cluster_folder("try") as folder:
        wrong = launch.started(["sh", "-c", "echo no room"], "ready", folder)
        with pytest.raises(RuntimeError, match="sh isn't ready: no room"), wrong:
            pass
        late = launch.started(["sh", "-c", "sleep 60; true"], "ready", folder,
                                seconds=0.2)
        with pytest.raises(RuntimeError, match="sh isn't ready"), late:
            pass
    assert not launch.processes_of(folder)


def test_what_outlives_its_parent_is_ended(left):
    command = ["sh", "-c", "setsid sleep 600 & sleep 0.5; echo ready"]
    with pytest.raises(KeyError), launch.cluster_folder("try") as folder:
        with launch.started(command, "ready", folder):
            pass
        assert launch.processes_of(folder)
        with launch.started(["sh", "-c", "echo ready; sleep 600; true"], "ready",
                              folder) as process:
            raise KeyError
    assert process.returncode is not None and not launch.processes_of(folder)


def test_a_program_is_tried_again(left):
    with launch.cluster_folder("try") as folder, contextlib.ExitStack() as stack:
        once = f"test -e {folder}/mark && echo ready && sleep 60; touch {folder}/mark"
        assert launch.start_in(stack, 2, (["sh", "-c", once], "ready", folder))
        with pytest.raises(RuntimeError, match="isn't ready"):
            launch.start_in(stack, 2, (["false"], "ready", folder))


def test_tasks_that_do_not_meet(tmp_path):
    with make_executor("serial") as pool:
        error = pool.submit(clusters.meet, str(tmp_path), 0, 2, 0.1).exception()
    assert isinstance(error, TimeoutError)
    assert clusters.meet(str(tmp_path), 1, 2) == ""


def test_free_ports_differ():
    assert len(set(launch.free_ports(20))) == 20


def test_dask(left, alone):
    with launch.dask_cluster() as said:
        assert engine_options("dask", said)["scheduler"].startswith("tcp://127.0.0.1")
        assert clusters.pi_there("dask", 3) == (["worker1", "worker2"], alone)


@pytest.mark.slow
def test_ray_with_its_own_token(left, alone):
    mode = os.environ.get("RAY_AUTH_MODE")
    with launch.ray_cluster() as said:
        token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert len(token.read_text()) == 64
        knock = f"import ray; ray.init({said.ray.address!r}, log_to_driver=False)"
        stranger = subprocess.Popen([sys.executable, "-c", knock], text=True,
                                    stderr=subprocess.PIPE,
                                    env=os.environ | {"RAY_AUTH_TOKEN": "0" * 64})
        assert clusters.pi_there("ray", 3) == (["node1", "node2"], alone)
        assert "InvalidAuthToken" in stranger.communicate(timeout=120)[1]
        assert stranger.returncode
    assert os.environ.get("RAY_AUTH_MODE") == mode and not token.exists()


@pytest.mark.slow
@needs_slurm
def test_slurm_and_a_block_that_is_taken_away(left, alone):
    with launch.slurm_cluster() as said:
        assert said.parsl.nodes_per_block == 2
        assert clusters.pi_there("parsl", 3) == (["n1", "n2"], alone)
        launch.cancel_jobs(*launch.jobs())
        assert launch.jobs() == []
        cut, naps = clusters.lose_a_block(16, init_blocks=2, max_blocks=2)
        after = {node for node, end in naps if end > cut + 1}
        assert len(naps) == 16 and len(after) == 1


def test_no_slurm(monkeypatch, tmp_path):
    monkeypatch.setattr(launch.shutil, "which", lambda *_, **__: None)
    with pytest.raises(FileNotFoundError, match="apt-get install slurmctld"), \
            launch.slurm_cluster():
        pass
    with pytest.raises(NotRun, match="no cluster for parsl here: no program slurmctld"):
        clusters.slurm_pi(Run())


def test_nodes_of_a_block_get_workers_each():
    provider = parsl_provider("slurm", partition="lab", nodes_per_block=3)
    assert type(provider.launcher).__name__ == "SrunLauncher"
    assert "srun --ntasks 3" in clusters.batch_script(provider)[1]
    assert provider.min_blocks == 1


@pytest.mark.parametrize("site, lines", [
    ("Perlmutter", ["#SBATCH --constraint=cpu", "#SBATCH --qos=debug",
                    "#SBATCH --nodes=2", "#SBATCH --account=m1", "#SBATCH --time=10"]),
    ("Frontera", ["#SBATCH --partition=normal", "#SBATCH --account=m1"]),
    ("Polaris", ["#PBS -l filesystems=home:eagle", "#PBS -l walltime=00:10:00",
                 "#PBS -l select=2:ncpus=64:ngpus=4"])])
def test_named_machines(site, lines):
    hand_in, script = clusters.batch_script(clusters.site_provider(site, "m1"), "do-it")
    assert hand_in in ("sbatch", "qsub -q debug -A m1")
    assert hand_in.startswith("qsub") == (site == "Polaris")
    assert not set(lines) - {line.strip() for line in script.split("\n")}
    assert "do-it" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("site, options, error", [
    ("Atlantis", {}, ValueError), ("Frontera", {"walltime": "1 h"}, ValueError),
    ("Frontera", {"walltime": "10:00"}, ValueError),
    ("Frontera", {"partitoin": "x"}, TypeError), ("Polaris", {"qos": "x"}, TypeError)])
def test_wrong_options_of_a_site(site, options, error):
    with pytest.raises(error):
        clusters.site_provider(site, "m1", **options)


def test_kubernetes():
    said = load_settings(environ={"LITLAB_PARSL_PROVIDER": "kubernetes",
                                  "LITLAB_PARSL_NAMESPACE": "lab",
                                  "LITLAB_PARSL_IMAGE": "lab:1"})
    try:
        pods = engine_options("parsl", said)["provider"]
    except Exception as error:
        assert "kube" in str(error)
        pytest.skip(f"no Kubernetes here: {error}")
    assert (pods.namespace, pods.image) == ("lab", "lab:1")
