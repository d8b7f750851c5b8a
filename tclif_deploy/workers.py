"""Calls spread over processes or threads of this machine, or over a dask cluster: what ``--parallel`` names.

joblib runs them on this machine; it gives up where a worker dies, and is started again here with the calls that this
lost. It has a backend for dask, too, which is not used: it leaves large arguments on one
worker, so that the job is lost with that worker, and it waits for ever for a call that no worker can read. Here the
scheduler keeps every argument until the call is done, and gives the call to another worker where one dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tclif_deploy import extras
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.version import __version__

if TYPE_CHECKING:
    import joblib

POLL_SECONDS = 0.5
"""how often a process looks whether the one that it works for is there"""
CONNECT_SECONDS = 5
"""in which a scheduler has to answer, and to have a worker"""
MOST_JOBS = 1024
"""threads or processes: beyond is a slip of the hand"""
EXPECTED = "expected loky, threading, dask (a cluster of this machine's cores) or dask://HOST:PORT"
NOT_THERE = "start one with: dask scheduler, or choose --parallel loky"
HELP = "Spread the work: loky, threading, dask (a cluster of this machine), or a scheduler's dask://HOST:PORT."
"""of the option of every command that has it"""
TOGETHER, ALONE = 2, 2
"""times that a call is run beside others, and then by itself, where workers die; dask allows as many by default"""
FATAL = "ended every worker that it was given to"
NO_MEMORY = "they may lack memory"

Run = Callable[[Callable[..., Any], tuple[Any, ...], Iterable[Any]], Iterator[Any]]
"""``run(function, shared, each)`` gives ``function(*shared, one)`` for every ``one`` of ``each``, in any order"""


def check_parallel(parallel: str | None) -> None:
    """Raise `TclifError` unless ``parallel`` names something that can be tried; nothing is started or asked.

    Examples
    --------
    >>> check_parallel("loky")
    >>> check_parallel("dask://10.0.0.7")
    Traceback (most recent call last):
    ...
    tclif_deploy.errors.TclifError: --parallel dask://10.0.0.7: no port; expected dask://HOST:PORT, such as dask://localhost:8786
    """
    if parallel is None:
        return
    if parallel == "dask" or parallel.startswith("dask:"):
        address_of(parallel)
        extras.need(f"--parallel {parallel}", "choose --parallel loky", "distributed")
    else:
        with _joblib(parallel, 1):
            pass


def address_of(parallel: str) -> str | None:
    """``tcp://HOST:PORT`` of ``dask://HOST:PORT``, None of ``dask``; `TclifError` for anything else.

    Examples
    --------
    >>> address_of("dask://[::1]:8786")
    'tcp://[::1]:8786'
    """
    if parallel == "dask":
        return None
    try:
        parts = urlsplit(parallel)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        why = reason_of(error)
    else:
        plain = host and parallel.lower() in (f"dask://{host}:{port}", f"dask://[{host}]:{port}")
        if host and port and plain and re.fullmatch(r"[\w.:%-]+", host):
            return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
        why = (
            "no host"
            if not host
            else "no port"
            if port is None
            else "port 0"
            if port == 0
            else "more than a host and a port"
        )
    raise TclifError(f"--parallel {parallel}: {why}", "expected dask://HOST:PORT, such as dask://localhost:8786")


@contextlib.contextmanager
def workers(
    parallel: str | None, jobs: int | None = None, name: Callable[[Any], str] = lambda one: f"the call {one!r:.60}"
) -> Iterator[Run]:
    """What runs calls at ``parallel``, as long as the ``with`` lasts.

    Parameters
    ----------
    parallel : str or None
        ``loky`` (also for None), ``threading`` or another backend that joblib knows; ``dask``: the cluster of this
        process's dask client, or where it has none one of this machine, started and ended here (from a script only
        below ``if __name__ == "__main__":``); ``dask://HOST:PORT``: the cluster of the scheduler that runs there.
    jobs : int, optional
        Workers; None or -1: one a core. A cluster that runs already has its own: calls at a time, then, at most.
    name : callable, optional
        What a message calls the call that has this argument of its own.

    A worker that dies, as of too little memory, costs what it had in hand: that is run again.

    Raises
    ------
    TclifError
        Before anything runs: a name that is none, a package that is missing, a scheduler that does not answer within a
        few seconds, has no worker, or has workers without this version. While calls run: a call that ends every worker
        it is given to (four of them), a scheduler that went away.
    """
    check_parallel(parallel)
    if jobs is not None and jobs > MOST_JOBS:
        raise TclifError(f"jobs is {jobs}", f"{MOST_JOBS:,} at most")
    jobs = None if jobs is None or jobs < 1 else int(jobs)
    if parallel is None or not parallel.startswith("dask"):
        with _joblib(parallel or "loky", jobs or -1) as pool:
            yield partial(_on_this_machine, pool, parallel or "loky", name)
    else:
        with _client(parallel, jobs) as (client, most):
            yield partial(_on_cluster, client, most, parallel, name)


@contextlib.contextmanager
def _joblib(backend: str, jobs: int) -> Iterator[joblib.Parallel]:
    import joblib

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(joblib.parallel_config(backend=backend, n_jobs=jobs))
            pool = joblib.Parallel(return_as="generator_unordered", pre_dispatch="2*n_jobs")
        except (ImportError, ValueError) as error:
            raise TclifError(f"--parallel {backend}: {reason_of(error)}", EXPECTED) from error
        yield pool


def _on_this_machine(
    pool: joblib.Parallel,
    parallel: str,
    name: Callable[[Any], str],
    function: Callable[..., Any],
    shared: tuple[Any, ...],
    each: Iterable[Any],
) -> Iterator[Any]:
    """Results from joblib. With a worker all calls that are under way are lost, and which of them ended it is not told:
    they run again, those that were lost so twice one by one."""
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    calls, lock, parent = enumerate(each), threading.Lock(), os.getpid()
    waiting: dict[int, Any] = {}
    """number -> argument of the calls given out whose results have not come"""
    lost: Counter[int] = Counter()

    def following() -> Iterator[tuple[int, Any]]:
        while True:
            with lock:  # a thread of joblib may still be at it when the workers are gone
                call = next(calls, None)
                if call is None:
                    return
                waiting[call[0]] = call[1]
            yield call

    def run(some: Iterable[tuple[int, Any]]) -> Iterator[Any]:
        given: set[int] = set()

        def noted() -> Iterator[Any]:
            for number, one in some:
                given.add(number)
                yield joblib.delayed(_numbered)(parent, function, shared, number, one)

        try:
            for number, result in pool(noted()):
                if waiting.pop(number, waiting) is not waiting:
                    yield result
        except TerminatedWorkerError:
            lost.update(given.intersection(waiting))

    yield from run(following())
    while waiting:
        for number, one in list(waiting.items()):
            while number in waiting and lost[number] >= TOGETHER:
                if lost[number] == TOGETHER + ALONE:
                    raise TclifError(f"--parallel {parallel}: {name(one)} {FATAL}", NO_MEMORY)
                yield from run([(number, one)])
        yield from run(itertools.chain(list(waiting.items()), following()))


def _numbered(
    parent: int, function: Callable[..., Any], shared: tuple[Any, ...], number: int, one: Any
) -> tuple[int, Any]:
    """The result of a call, with the call's number; the process that runs it ends with the process ``parent``."""
    if os.getppid() == parent:  # else a thread of that process runs it
        _end_with(parent)
    return number, function(*shared, one)


@cache
def _end_with(parent: int) -> None:
    """Let this process, a child of ``parent``, end soon after it: one of joblib's would wait for calls for minutes."""

    def watch() -> None:
        while os.getppid() == parent:  # never another one on Windows, where joblib's own wait remains
            time.sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextlib.contextmanager
def _client(parallel: str, jobs: int | None) -> Iterator[tuple[Any, int]]:
    """A client of the cluster, and how many calls it gets at a time: two a thread, so that none waits for the next."""
    import dask

    distributed = _distributed()
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}))
        address = address_of(parallel)
        try:
            if address is not None:
                _ask(address)
                client = stack.enter_context(distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
            else:
                client = _client_of_this_process() or stack.enter_context(_cluster_of_this_machine(stack, jobs))
            client.wait_for_workers(1, timeout=CONNECT_SECONDS if address is not None else 60)
        except distributed.TimeoutError as error:
            raise TclifError(
                f"--parallel {parallel}: the scheduler has no worker",
                f"start one: dask worker {address or ''}".rstrip(),
            ) from error
        except (OSError, RuntimeError, ValueError) as error:
            raise TclifError(f"--parallel {parallel}: cannot be reached ({reason_of(error)})", NOT_THERE) from error
        _check_versions(client, parallel)
        threads = sum(client.nthreads().values())
        yield client, jobs if jobs is not None and address is not None else 2 * max(threads, 1)


def _ask(address: str) -> None:
    """Raise OSError unless a scheduler answers in time; a client alone waits far longer for one that says nothing."""
    distributed = _distributed()

    async def identity() -> Any:
        async with distributed.rpc(address, timeout=CONNECT_SECONDS) as there:
            return await there.identity()

    async def in_time() -> Any:
        return await asyncio.wait_for(identity(), CONNECT_SECONDS + 1)

    try:
        with ThreadPoolExecutor(1) as thread:  # this one may have a loop of its own, as a notebook's has
            told = thread.submit(asyncio.run, in_time()).result()
    except TimeoutError as error:
        raise OSError(f"no answer in {CONNECT_SECONDS} s") from error
    except OSError:
        raise
    except Exception as error:  # whatever the bytes of another program lead to
        raise OSError("what answers there is no dask scheduler") from error
    if told.get("type") != "Scheduler":
        raise OSError(f"a dask {str(told.get('type')).lower()} is there, not a scheduler")


def _distributed() -> Any:
    """The package, most of which has no types."""
    return import_module("distributed")


def _client_of_this_process() -> Any:
    try:
        return _distributed().get_client()
    except ValueError:
        return None


def _cluster_of_this_machine(stack: contextlib.ExitStack, jobs: int | None) -> Any:
    import joblib

    distributed = _distributed()
    cluster = distributed.LocalCluster(
        n_workers=jobs or joblib.cpu_count(),
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,  # no share for each: as for loky, the machine's memory is the limit
        silence_logs=logging.ERROR,
    )
    return distributed.Client(stack.enter_context(cluster), set_as_default=False)


def _check_versions(client: Any, parallel: str) -> None:
    """Other versions give other bytes, or cannot even read the call."""
    told = client.get_versions(packages=["tclif_deploy"])["workers"]
    for worker, versions in sorted(told.items()):
        there = versions["packages"].get("tclif_deploy")
        if there != __version__:
            what = "no tclif_deploy" if there is None else f"tclif_deploy {there}, here it is {__version__}"
            raise TclifError(f"--parallel {parallel}: worker {worker} has {what}", "install the same version there")


def _on_cluster(
    client: Any,
    most: int,
    parallel: str,
    name: Callable[[Any], str],
    function: Callable[..., Any],
    shared: tuple[Any, ...],
    each: Iterable[Any],
) -> Iterator[Any]:
    """Results from a cluster; a worker that dies costs what it had in hand, which the scheduler gives to another."""
    distributed = _distributed()
    # computed there from what the scheduler holds, not scattered: a worker that dies takes no only copy with it
    held = client.submit(_Held(shared), pure=False)
    calls, running = iter(each), distributed.as_completed([], loop=client.loop)
    waiting: dict[str, Any] = {}

    def give(number: int) -> None:
        for one in itertools.islice(calls, number):
            key = f"{function.__name__.strip('_')}-{uuid.uuid4().hex}"  # the name that dask's pages and logs show
            waiting[key] = one
            running.add(client.submit(_Call(function, one), held, key=key))

    give(most)
    for future in running:
        try:
            result = future.result()
        except distributed.KilledWorker as error:
            called = name(waiting[future.key])
            raise TclifError(
                f"--parallel {parallel}: {called} {FATAL}", f"see the workers' logs; {NO_MEMORY}"
            ) from error
        except CancelledError as error:
            raise TclifError(
                f"--parallel {parallel}: the scheduler went away", "look whether it runs, and start again"
            ) from error
        del waiting[future.key]
        give(1)
        yield result


class _Held:
    """Arguments that all calls share; an object of its own, since dask would look for its keys in a tuple."""

    def __init__(self, shared: tuple[Any, ...]) -> None:
        self.shared = shared

    def __call__(self) -> _Held:
        return self


class _Call:
    """One call, with the argument that is its own."""

    def __init__(self, function: Callable[..., Any], one: Any) -> None:
        self.function, self.one = function, one

    def __call__(self, held: _Held) -> Any:
        return self.function(*held.shared, self.one)
