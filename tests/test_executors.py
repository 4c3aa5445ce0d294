"One body of behaviours for all executors, and what each engine does in a table."

import contextlib
import os
import signal
import tempfile
import threading
import time
import traceback
from concurrent.futures import (
    FIRST_COMPLETED, Future, as_completed, wait)
from concurrent.futures import TimeoutError as LateError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not all(map(find_spec, ("ray", "parsl", "distributed"))):
    pytest.skip("needs pip install 'litlab[parallel]'", allow_module_level=True)

from litlab.parallel.executors import KINDS, make_executor  # noqa: E402
from litlab.parallel.processes import WorkerDied  # noqa: E402

ENGINES = {
    "serial": ("serial", {}), "threads": ("threads", {}),
    "processes": ("processes", {}), "ray": ("ray", {}), "dask": ("dask", {}),
    "parsl, threads": ("parsl", {"engine": "threads"}), "parsl": ("parsl", {})}
HERE = ("serial", "threads", "parsl, threads")  # those that run in this process
BOUND = 90  # s after which a behaviour counts as a hang


class Fussy(Exception):
    "An error that can't be made again from what it prints."
    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


class Point:
    def __init__(self, x):
        self.x = x


def add(a, b=1):
    return a + b


def later(value, seconds=0.05):
    time.sleep(seconds)
    return value


def fail_here(kind=ValueError, *args):
    raise kind(*args)


def whole(future):
    return future.result(timeout=BOUND)


def error_of(future):
    return future.exception(timeout=BOUND)


BEHAVIOURS = {}


def behaviour(function):
    "A function (pool, name of the engine) -> word for the table; asserts inside."
    BEHAVIOURS[function.__name__.replace("_", " ")] = function
    return function


@behaviour
def a_result(pool, name):
    assert whole(pool.submit(add, 2, 3)) == 5


@behaviour
def named_arguments(pool, name):
    assert whole(pool.submit(add, b=5, a=1)) == 6


@behaviour
def none_is_a_result(pool, name):
    assert whole(pool.submit(lambda: None)) is None


@behaviour
def a_future_is_the_library_s(pool, name):
    future = pool.submit(add, 1)
    assert isinstance(future, Future) and whole(future) == 2 and future.done()
    assert not future.running() and not future.cancelled()


@behaviour
def map_keeps_the_order(pool, name):
    waits = [0.1, 0.0, 0.05, 0.0]
    assert list(pool.map(later, range(4), waits)) == [0, 1, 2, 3]


@behaviour
def map_ends_with_the_shortest(pool, name):
    assert list(pool.map(add, [1, 2, 3], [10, 20])) == [11, 22]


@behaviour
def map_in_chunks(pool, name):
    assert list(pool.map(add, range(103), chunksize=10)) == list(range(1, 104))
    assert list(pool.map(add, range(3), chunksize=1000)) == [1, 2, 3]
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(add, [1], chunksize=0)


@behaviour
def map_of_nothing(pool, name):
    assert list(pool.map(add, [])) == []


@behaviour
def map_takes_generators(pool, name):
    assert list(pool.map(add, (i for i in range(5)), chunksize=2)) == [1, 2, 3, 4, 5]


@behaviour
def map_raises_at_its_place(pool, name):
    values = pool.map(lambda x: 1 // x, [1, 0, 1])
    assert next(values) == 1
    with pytest.raises(ZeroDivisionError):
        next(values)


@behaviour
def map_with_a_time_limit(pool, name):
    if name == "serial":
        return "runs at once"
    with pytest.raises((LateError, TimeoutError)):
        list(pool.map(later, range(3), [1.5] * 3, timeout=0.1))


@behaviour
def result_with_a_time_limit(pool, name):
    if name == "serial":
        return "runs at once"
    future = pool.submit(later, 1, 1.0)
    with pytest.raises((LateError, TimeoutError)):
        future.result(timeout=0.01)
    assert whole(future) == 1


@behaviour
def an_error_of_its_class(pool, name):
    error = error_of(pool.submit(fail_here, KeyError, "lost"))
    assert type(error) is KeyError and error.args == ("lost",)


@behaviour
def the_traceback_from_there(pool, name):
    error = error_of(pool.submit(fail_here, ValueError, "no"))
    assert "in fail_here" in "".join(traceback.format_exception(error))


@behaviour
def an_error_that_can_t_travel(pool, name):
    error = error_of(pool.submit(fail_here, Fussy, "one", "two"))
    assert "one" in str(error)
    return type(error).__name__


@behaviour
def exit_in_a_task_is_an_error(pool, name):
    assert type(error_of(pool.submit(fail_here, SystemExit, 3))) is SystemExit
    assert whole(pool.submit(add, 1)) == 2


@behaviour
def an_error_does_no_further_harm(pool, name):
    tasks = [pool.submit(lambda x: 1 / x, i % 3) for i in range(12)]
    assert sum(error_of(t) is not None for t in tasks) == 4
    assert sum(whole(t) for t in tasks if not t.exception()) == 4 * 1.5


@behaviour
def as_they_are_completed(pool, name):
    tasks = [pool.submit(later, i, 0.3 - 0.1 * i) for i in range(3)]
    assert {f.result() for f in as_completed(tasks, timeout=BOUND)} == {0, 1, 2}


@behaviour
def wait_for_the_first(pool, name):
    tasks = [pool.submit(later, 1, s) for s in (0.0, 0.5)]
    done, _ = wait(tasks, timeout=BOUND, return_when=FIRST_COMPLETED)
    assert done


@behaviour
def a_callback_once(pool, name):
    seen, future = [], pool.submit(add, 1)
    future.add_done_callback(seen.append)
    whole(future)
    deadline = time.monotonic() + 5
    while not seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen == [future]


@behaviour
def fifty_megabytes_there(pool, name):
    big = np.arange(50 * 2 ** 17, dtype=float)
    assert whole(pool.submit(np.sum, big)) == big.sum()


@behaviour
def fifty_megabytes_back(pool, name):
    big = whole(pool.submit(np.arange, 50 * 2 ** 17))
    assert big.nbytes == 50 * 2 ** 20 and (big[-1] == len(big) - 1)


@behaviour
def arrays_keep_their_kind(pool, name):
    for dtype in ("float32", "int8", "complex128", "U3", "datetime64[s]"):
        sent = np.zeros((2, 3), dtype)
        back = whole(pool.submit(np.transpose, sent))
        assert back.dtype == sent.dtype and back.shape == (3, 2)


@behaviour
def functions_without_a_name(pool, name):
    shift = 10
    assert whole(pool.submit(lambda x: x + shift, 1)) == 11


@behaviour
def classes_of_the_notebook(pool, name):
    class Local:
        def __init__(self, x):
            self.x = x

        def grown(self):
            return Local(self.x + 1)
    assert whole(pool.submit(Local.grown, Local(1))).x == 2
    assert whole(pool.submit(lambda p: Point(p.x * 2), Point(4))).x == 8


@behaviour
def a_future_as_argument(pool, name):
    assert whole(pool.submit(add, pool.submit(later, 2), pool.submit(later, 3))) == 5


@behaviour
def a_future_as_named_argument(pool, name):
    assert whole(pool.submit(add, 1, b=pool.submit(later, 3))) == 4


@behaviour
def one_future_twice(pool, name):
    g = pool.submit(later, 4)
    assert whole(pool.submit(add, g, g)) == 8


@behaviour
def the_essay_s_graph(pool, name):
    def f(x, y):
        return f"f({x}, {y})"
    h = pool.submit(later, "h")
    g = [pool.submit(lambda x, i=i: f"g{i}({x})", h) for i in range(2)]
    assert whole(pool.submit(f, *g)) == "f(g0(h), g1(h))"


@behaviour
def a_chain_of_fifty(pool, name):
    link = pool.submit(add, 0)
    for _ in range(49):
        link = pool.submit(add, link)
    assert whole(link) == 50


@behaviour
def submit_does_not_wait_for_inputs(pool, name):
    if name == "serial":
        return "runs at once"
    slow = pool.submit(later, 1, 0.7)
    start = time.monotonic()
    after = pool.submit(add, slow)
    took = time.monotonic() - start
    assert whole(after) == 2 and took < 0.5


@behaviour
def a_failed_input_fails_the_task(pool, name):
    with tempfile.TemporaryDirectory() as folder:
        mark = os.path.join(folder, "called")
        wrong = pool.submit(fail_here, KeyError, "first")
        after = pool.submit(lambda x: Path(mark).touch(), wrong)
        last = pool.submit(add, after)
        assert error_of(last).args == ("first",) and type(error_of(last)) is KeyError
        assert not os.path.exists(mark)


@behaviour
def somebody_else_s_future(pool, name):
    foreign = Future()
    after = pool.submit(add, foreign, 1)
    assert not after.done()
    foreign.set_result(41)
    assert whole(after) == 42


@behaviour
def somebody_else_s_cancelled_future(pool, name):
    foreign = Future()
    after = pool.submit(add, foreign, 1)
    foreign.cancel()
    foreign.set_running_or_notify_cancel()
    done, _ = wait([after], timeout=BOUND)
    assert done and (after.cancelled() or after.exception() is not None)


@behaviour
def a_thousand_tiny_tasks(pool, name):
    tasks = [pool.submit(add, i) for i in range(1000)]
    assert [whole(t) for t in tasks] == list(range(1, 1001))


@behaviour
def from_several_threads(pool, name):
    found = []

    def ask(n):
        found.extend(whole(pool.submit(add, i)) for i in range(n))
    threads = [threading.Thread(target=ask, args=(20,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert sorted(found) == sorted(list(range(1, 21)) * 4)


@behaviour
def what_can_t_be_sent(pool, name):
    future = pool.submit(next, (i for i in [7]))
    if name in ("serial", "threads"):
        assert whole(future) == 7
        return "is not sent"
    error = error_of(future)
    assert isinstance(error, TypeError) and "send plain data" in str(error)


@behaviour
def what_can_t_be_sent_back(pool, name):
    future = pool.submit(lambda: (i for i in [7]))
    if name in ("serial", "threads"):
        assert next(whole(future)) == 7
        return "is not sent"
    error = error_of(future)
    assert isinstance(error, TypeError) and "sent back" in str(error)


@behaviour
def memory_is_its_own(pool, name):
    mine = {"x": 1}
    whole(pool.submit(dict.update, mine, {"x": 2}))
    assert (mine["x"] == 2) == (name in ("serial", "threads"))
    away = whole(pool.submit(os.getpid)) != os.getpid()
    assert away != (name in HERE)
    return "own process" if away else "this process"


@behaviour
def one_thread_a_worker(pool, name):
    if name in HERE:
        return "this process"
    assert whole(pool.submit(os.environ.get, "OMP_NUM_THREADS")) == "1"


@behaviour
def two_at_a_time(pool, name):
    if name == "serial":
        return "one at a time"
    list(pool.map(later, range(4)))
    start = time.monotonic()
    list(pool.map(later, range(4), [0.5] * 4))
    assert time.monotonic() - start < 1.9


@behaviour
def calling_off_what_waits(pool, name):
    if name == "serial":
        return "runs at once"
    busy = [pool.submit(later, 1, 0.6) for _ in range(4)]
    last = pool.submit(later, 2, 0.1)
    off = last.cancel()
    assert off == last.cancelled()
    assert [whole(b) for b in busy] == [1] * 4
    assert off or whole(last) == 2
    assert off != name.startswith("parsl")
    return "yes" if off else "the engine can't"


@behaviour
def calling_off_what_is_done(pool, name):
    future = pool.submit(add, 1)
    whole(future)
    assert not future.cancel() and not future.cancelled()


def die():
    "End this process, once the result of its last task must have left it."
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(folder, i):
    "The tenth task ends its process, the first time it is run."
    mark = os.path.join(folder, "died")
    if i == 10 and not os.path.exists(mark):
        Path(mark).touch()
        die()
    time.sleep(0.01)
    return i


@behaviour
def a_worker_killed_amid_200_tasks(pool, name):
    if name in HERE:
        return "no workers"
    with tempfile.TemporaryDirectory() as folder:
        tasks = [pool.submit(die_once, folder, i) for i in range(200)]
        assert [whole(t) for t in tasks] == list(range(200))
        assert os.path.exists(os.path.join(folder, "died"))


@behaviour
def a_task_that_always_kills(pool, name):
    if name in HERE:
        return "no workers"
    bad = pool.submit(die)
    good = [pool.submit(later, i) for i in range(20)]
    assert isinstance(error_of(bad), WorkerDied)
    blamed = {i for i, g in enumerate(good) if isinstance(error_of(g), WorkerDied)}
    assert [whole(g) for i, g in enumerate(good) if i not in blamed] == [
        i for i in range(20) if i not in blamed]
    assert not blamed or name == "dask"  # which blames what was queued on the worker
    return "WorkerDied, and so may neighbours" if name == "dask" else "WorkerDied"


def children():
    "This process's children, without zombies and Python's own resource tracker."
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[path.parent.name] = path.with_name("cmdline").read_text()
    return {f"{pid} {line}" for pid, line in found.items()
            if "resource_tracker" not in line}


def ended(pool, before):
    "What shutdown must leave: nothing."
    last = pool.submit(later, 5, 0.2)
    pool.shutdown()
    assert last.result(timeout=0) == 5
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(add, 1)
    deadline = time.monotonic() + 20
    while (children() - before or pool._open) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not children() - before
    assert not pool._open  # no result is kept alive
    assert not os.listdir(tempfile.gettempdir())


@pytest.fixture
def short_folder(monkeypatch):
    "A place for temporary files, with a path that a socket's name has room for."
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield folder


@pytest.mark.parametrize("name", ENGINES)
def test_engine(name, short_folder, capsys):
    kind, options = ENGINES[name]
    before, words, wrong = children(), {}, {}
    pool = make_executor(kind, n_workers=2, **options)
    for title, function in BEHAVIOURS.items():
        try:
            words[title] = function(pool, name) or "yes"
        except Exception as error:
            words[title] = "NO"
            wrong[title] = "".join(traceback.format_exception(error)[-3:])
    ended(pool, before)
    with capsys.disabled():
        print(f"\n{name}\n" + "\n".join(f"  {t:36}{w}" for t, w in words.items()))
    assert not wrong, "\n".join(f"{t}: {w}" for t, w in wrong.items())
    assert len(words) >= 40


def test_unknown_kind_and_numbers():
    with pytest.raises(ValueError, match="serial, threads, processes"):
        make_executor("cluster")
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="n_workers"):
            make_executor("threads", wrong)
    assert set(KINDS) == {"serial", "threads", "processes", "ray", "parsl", "dask"}


@pytest.mark.parametrize("kind, options", [
    ("ray", {"address": "127.0.0.1:9"}), ("dask", {"scheduler": "tcp://127.0.0.1:9"})])
def test_nobody_listens(kind, options):
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="127.0.0.1:9"):
        make_executor(kind, 2, **options)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_an_error_in_the_block_ends_what_waits(kind):
    before = children()
    with pytest.raises(KeyboardInterrupt), make_executor(kind, 2) as pool:
        tasks = [pool.submit(later, 1, 3) for _ in range(6)]
        raise KeyboardInterrupt
    assert all(t.done() or t.running() for t in tasks)
    assert any(t.cancelled() for t in tasks) and not children() - before


def test_dask_fetches_many_results_at_once(monkeypatch):
    "Neither message by message, nor late when nothing else is on its way."
    with make_executor("dask", 2) as pool:
        assert pool.submit(abs, -1).result() == 1
        fetched, gather = [], pool._client.gather
        monkeypatch.setattr(pool._client, "gather", lambda tasks: (
            fetched.append(len(tasks)), gather(tasks))[1])
        start = time.monotonic()
        tasks = [pool.submit(abs, -i) for i in range(200)]
        assert [t.result() for t in tasks] == list(range(200))
        assert sum(fetched) == 200
        assert len(fetched) <= (time.monotonic() - start) / 0.1 + 3
        slow = pool.submit(time.sleep, 2)
        start = time.monotonic()
        assert pool.submit(abs, -3).result() == 3 and not slow.done()
        assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("kind", ["processes", "ray", "dask", "parsl"])
@pytest.mark.parametrize("retries", [-1, 1.5, "a", None])
def test_bad_retries(kind, retries):
    "At once; a number that is never used up would try a dying task for ever."
    with pytest.raises(ValueError, match="retries must be a whole number from 0"):
        make_executor(kind, 1, retries=retries)
