"""One run on Lava's CPU simulation: samples in, spikes and states out."""

import contextlib
import ctypes
import mmap
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.source import RingBuffer
from numpy.typing import NDArray

from .processes.network.process import Network as NetworkProcess
from .structure import Network, Readout

POLL_SECONDS = 0.2
"""how often the watch looks whether a process of Lava's died"""
PROGRESS_STEPS = 100
"""about so often a run tells its progress"""
CHANNEL_SLOTS = 4
"""messages that a channel holds; Lava's default of 64 is much memory where a message is a whole batch"""
ACTORS = threading.Lock()
"""held by the thread that asks Lava's processes how they are, and for good by the one that ends them"""
STOPS = (signal.SIGTERM, signal.SIGHUP)
"""end a run as Ctrl-C does"""
PR_SET_PDEATHSIG = 1
"""of Linux: the signal that a process gets when the thread that forked it ends"""
FORKING: dict[str, Any] = {}
"""what processes are told that are forked now, see `forking`; empty while none belong to a run"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gives; by layer where a dict."""

    spikes: dict[str, NDArray[np.bool_]]
    """spiking layers: (samples, time, neurons)"""
    u: dict[str, NDArray[Any]]
    """after the last step, (samples, neurons)"""
    v: dict[str, NDArray[Any]]
    readout: NDArray[Any]
    """(samples, outputs)"""
    classes: NDArray[np.int64]
    """(samples,)"""
    overflows: dict[str, NDArray[np.int64]]
    """values changed by ovf: u charged, v charged, u reset, v reset"""


def simulate(
    structure: Network,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[Any],
    lengths: NDArray[np.int64],
    *,
    batch: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    supervised: bool = False,
) -> Outcome:
    """Run ``x`` (samples, time, features), already integers where the network is fixed point.

    Stock Dense processes take one sample after another; ``batch`` samples at once go through `BatchedDense`.
    ``supervised`` runs end when the process that started them has gone.
    """
    samples, steps, _ = x.shape
    frames = samples if batch is None else -(-samples // batch)
    lead = (frames,) if batch is None else (frames, batch)
    x, lengths = framed(x, lead), framed(lengths, lead)
    number = number_of(structure)
    outputs = shared_outputs(structure, lead, steps)
    network = NetworkProcess(
        structure=structure, arrays=arrays, batch=batch, frames=frames, steps=steps, lengths=lengths, outputs=outputs
    )
    source = RingBuffer(data=ring(structure, x))
    source.s_out.connect(network.s_in)
    total = structure.phases * frames * (steps + structure.idle) + max(layer.offset for layer in structure.layers)
    run(network, structure.precision, total, progress, supervised)

    def flat(name: str, key: str) -> NDArray[Any]:
        """The outputs without the frames and without what filled the last batch."""
        array = outputs[name][key]
        return np.array(array.reshape(-1, *array.shape[len(lead) :])[:samples])

    names = [layer.name for layer in structure.layers]
    out = structure.layers[-1]
    spikes = {layer.name: flat(layer.name, "spikes") for layer in structure.layers if layer.spiking}
    readout = flat(out.name, "readout")
    rule = structure.readout or Readout("count" if out.spiking else "last", votes=1, most_steps=None)
    if rule.counts_spikes(out.spiking):
        t, last = np.arange(steps), lengths.reshape(-1)[:samples, None] - 1
        reads = t == last if rule.rule == "step" else t <= last
        fired = (spikes[out.name] & reads[:, :, None]).sum(axis=1)
        readout = fired.reshape(samples, -1, rule.votes).sum(axis=2).astype(number)
    factor = arrays[out.multiplier][:: rule.votes] if isinstance(out.multiplier, str) else out.multiplier
    return Outcome(
        spikes=spikes,
        u={name: flat(name, "u") for name in names},
        v={name: flat(name, "v") for name in names},
        readout=readout,
        classes=np.argmax(readout * factor, axis=1),
        overflows={name: flat(name, "overflows").sum(axis=0) for name in names},
    )


def number_of(structure: Network) -> np.dtype[Any]:
    """Of states and readouts."""
    return np.dtype(np.int64 if structure.precision == "fixed_pt" else np.float64)


def shared_outputs(structure: Network, lead: tuple[int, ...], steps: int) -> dict[str, dict[str, NDArray[Any]]]:
    """The ``outputs`` of a `Network` process, by layer: arrays that its processes fill, and this one reads.

    ``lead`` is (frames,), or (frames, batch).
    """
    number = number_of(structure)
    return {
        layer.name: {
            "spikes": shared((*lead, steps, layer.size if layer.spiking else 0), np.dtype(np.bool_)),
            "overflows": shared((*lead, 4), np.dtype(np.int64)),
            **{key: shared((*lead, layer.size), number) for key in ("u", "v", "readout")},
        }
        for layer in structure.layers
    }


def framed(values: NDArray[Any], lead: tuple[int, ...]) -> NDArray[Any]:
    """(samples, ...) as (*lead, ...): the last batch is filled with copies of the last sample."""
    missing = int(np.prod(lead)) - len(values)
    filled = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return filled.reshape(*lead, *values.shape[1:])


def shared(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that this process and those forked from it share."""
    size = int(np.prod(shape)) * dtype.itemsize
    array: NDArray[Any] = np.ndarray(shape, dtype, buffer=mmap.mmap(-1, max(size, 1)))
    return array


def ring(structure: Network, x: NDArray[Any]) -> NDArray[Any]:
    """``x`` (frames, [batch,] steps, features) as the source sends it: ([batch,] features, Lava steps)."""
    frames, steps = x.shape[0], x.shape[-2]
    dtype = np.int32 if structure.precision == "fixed_pt" else np.float64
    data = np.zeros((*x.shape[1:-2], x.shape[-1], frames, steps + structure.idle, structure.phases), dtype)
    data[..., :steps, 0] = np.moveaxis(x, (0, -2), (-2, -1))
    # The source starts over at its end, which is after the last sample and before the last layer is done.
    tail = max(layer.offset for layer in structure.layers)
    data = data.reshape(*data.shape[:-3], -1)
    return np.concatenate([data, np.zeros((*data.shape[:-1], tail), dtype)], axis=-1)


class Stopped(BaseException):
    """Raised in the main thread by a signal of `STOPS`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.message, self.code = f"ended by {signal.Signals(number).name}", 128 + number


def run(network: NetworkProcess, tag: str, total: int, progress: Callable[[int, int], None], supervised: bool) -> None:
    """Compile, run ``total`` Lava steps and stop. Failures, Ctrl-C and SIGTERM end this interpreter, see `give_up`."""
    done = threading.Event()
    parent = os.getppid() if supervised else None
    # The forked processes must not answer Ctrl-C one by one: this one ends them all, as soon as it can.
    heard: list[int] = []
    interrupt = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    running = False

    def stop(number: int, frame: object) -> None:
        stopped = Stopped(number)
        if not running:  # at once: what is raised amid a fork is lost, and Lava waits for processes that may be dead
            give_up(network, stopped.message, stopped.code)
        for each in answered:
            signal.signal(each, signal.SIG_IGN)
        raise stopped

    # whoever answers them already, or ignores them, as nohup does, goes on so
    answered = [number for number in STOPS if signal.getsignal(number) is signal.SIG_DFL]
    for number in answered:
        signal.signal(number, stop)
    try:
        with forking(answered):
            network.create_runtime(
                run_cfg=Loihi2SimCfg(select_tag=tag), compile_config={"pypy_channel_size": CHANNEL_SLOTS}
            )
        running = True
        signal.signal(signal.SIGINT, interrupt)
        if heard and interrupt is not signal.SIG_IGN:  # a shell's background job ignores it
            raise KeyboardInterrupt
        watch = threading.Thread(target=watch_actors, args=(network, done, parent), daemon=True)
        watch.start()
        stride = max(1, total // PROGRESS_STEPS)
        for start in range(0, total, stride):
            progress(start, total)
            network.run(RunSteps(num_steps=min(stride, total - start)))
        progress(total, total)
        done.set()
        watch.join()
        network.stop()
        for number in answered:
            signal.signal(number, signal.SIG_DFL)
    except KeyboardInterrupt:
        give_up(network, "interrupted", 130)
    except Stopped as stopped:
        give_up(network, stopped.message, stopped.code)
    except Exception as error:
        give_up(network, f"error: {type(error).__name__}: {error}", 3)


@contextlib.contextmanager
def forking(answered: Iterable[int]) -> Iterator[None]:
    """Processes that are forked meanwhile end with this one, whatever ends it, and do not answer signals as it does."""
    FORKING.update(answered=list(answered), parent=os.getpid(), prctl=None)
    if sys.platform == "linux":  # elsewhere what ends this process alone, as SIGKILL can, leaves them behind
        FORKING["prctl"] = ctypes.CDLL(None).prctl
    try:
        yield
    finally:
        FORKING.clear()


def before_fork() -> None:
    """Hold `STOPS` back until the new process answers them in its own way: a fork forgets what came meanwhile."""
    if FORKING:
        FORKING["mask"] = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def after_fork_in_parent() -> None:
    """Hear `STOPS` again."""
    if FORKING:
        signal.pthread_sigmask(signal.SIG_SETMASK, FORKING["mask"])


def after_fork_in_child() -> None:
    """SIGTERM ends it. A terminal that closes does not: the parent does, once the shared memory is freed."""
    if not FORKING:
        return
    for number in FORKING["answered"]:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    if FORKING["prctl"] is not None:
        FORKING["prctl"](PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != FORKING["parent"]:  # it has gone already
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, FORKING["mask"])
    FORKING.clear()


os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child)


def watch_actors(network: NetworkProcess, done: threading.Event, parent: int | None) -> None:
    """Give up when one of Lava's processes fails: Lava itself would wait for its messages for ever.

    So too when the process ``parent``, where one is named, is no longer this one's parent.
    """
    actors = network.runtime._messaging_infrastructure.actors
    while not done.wait(POLL_SECONDS):
        orphan = parent is not None and os.getppid() != parent
        with ACTORS:
            failed = any(actor.exception or not actor.is_alive() for actor in actors)
        if orphan or failed:
            time.sleep(POLL_SECONDS)  # the first one to die may be about to say why
            if not done.is_set():
                give_up(network, "error: a process of the network was killed (out of memory?)", 3)


def give_up(network: NetworkProcess, message: str, code: int) -> None:
    """Say why, kill Lava's processes, give its shared memory back, and end this interpreter at once.

    At once, because Lava's own ``stop`` waits for processes that will never answer. The first thread that calls this
    does it all: another one would end the interpreter while the first still waits for the memory's manager, whose
    process would then be left behind.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *STOPS):
            signal.signal(number, signal.SIG_IGN)
    ACTORS.acquire()
    try:
        runtime = network.runtime
        infrastructure = None if runtime is None else runtime._messaging_infrastructure
        if infrastructure is not None:
            for error, trace in [actor.exception for actor in infrastructure.actors if actor.exception][:1]:
                message = f"{trace}error: a process of the network failed: {type(error).__name__}: {error}"
            for actor in infrastructure.actors:
                with contextlib.suppress(ValueError):  # of one that has ended well
                    actor.kill()
            manager: Any = None if infrastructure.smm is None else infrastructure.smm._manager
            if hasattr(manager, "shutdown"):  # it has none before it is started
                manager.shutdown()
        for child in multiprocessing.active_children():  # what was being started
            child.terminate()
        print(message, file=sys.stderr, flush=True)
    finally:  # such as where whoever read stderr has gone: nobody else may end this interpreter any more
        os._exit(code)
