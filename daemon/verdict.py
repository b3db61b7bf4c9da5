"""Why a child died: exit code, signal, last stderr lines, last words and kernel counters to one cause. Pure.

Running out of memory has many faces, and the documented exception is the rarest of them (tensorflow #108621): 13 of 20
tries on a CPU ended in a signal. So a death is judged by all that is known about it. What is done about a cause is
decided elsewhere (:mod:`daemon.lifecycle`).
"""

import re
import signal
from dataclasses import dataclass
from enum import StrEnum

from capture.exits import ExitCode
from capture.messages import LastWords


class Cause(StrEnum):
    """Why a child ended: the closed set of the ``cause`` label."""

    GPU_OOM = "gpu_oom"
    """The device's memory, or the worker's share of it, ran out at work."""
    GPU_INIT_OOM = "gpu_init_oom"
    """The device's memory ran out while the worker was loading."""
    HOST_OOM = "host_oom"
    """Main memory, or the worker's share of it, ran out."""
    CRASH = "crash"
    """Ended by a signal that nothing else explains."""
    HANG = "hang"
    """Did no work for too long, and we killed it."""
    MODEL = "model"
    """The model can never work."""
    CONFIG = "config"
    """What it was told to do can never work."""
    EXIT = "exit"
    """Ended by itself, for a reason that is none of the above."""


class Phase(StrEnum):
    """What the child was doing."""

    LOADING = "loading"
    WORKING = "working"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about one death. Exactly one of ``exit_code`` and ``signal`` is set."""

    exit_code: int | None = None
    signal: int | None = None
    """Positive number."""
    stderr: tuple[str, ...] = ()
    """The last lines, oldest first."""
    last_words: LastWords | None = None
    phase: Phase = Phase.WORKING
    was_killed_by_us_for_hang: bool = False
    oom_kills: int | None = None
    """Kills of the kernel's OOM killer that explain no other death; None where they are not counted."""
    memory_mib: float | None = None
    """What counts against the limit, as it was last looked at."""
    memory_limit_mib: int | None = None
    on_gpu: bool = False
    """Decides only where an out-of-memory names no allocator."""

    @classmethod
    def of_returncode(cls, returncode: int) -> "Evidence":
        """Start from what ``Popen.returncode`` says; the rest is added with :func:`dataclasses.replace`."""
        return cls(signal=-returncode) if returncode < 0 else cls(exit_code=returncode)


_PERMANENT = frozenset({Cause.MODEL, Cause.CONFIG})

_NEAR_LIMIT_RATIO = 0.9
_NEAR_LIMIT_MIB = 32.0
"""... or this near, where the limit is small: what malloc may want in one piece (`inference.headroom`)."""

_BY_EXIT_CODE = {
    ExitCode.OK: Cause.EXIT,
    ExitCode.USAGE: Cause.CONFIG,  # the supervisor wrote that command line: the next one would be the same
    ExitCode.ORPHANED: Cause.EXIT,
    ExitCode.MODEL: Cause.MODEL,
    ExitCode.QUOTA: Cause.HOST_OOM,  # only a worker on the CPU says so: it left before the wall
    ExitCode.CONFIG: Cause.CONFIG,
}

_SAID = (ExitCode.OUT_OF_MEMORY, ExitCode.QUOTA, ExitCode.MODEL, ExitCode.CONFIG)
"""What a child knows better than anybody who sees it die."""

_LOADER_FAILED = 127
"""Of ld.so(8): a library could not be mapped. There is no shell between us and a child that could mean "not found"."""

_HARMLESS = re.compile(r"The caller indicates that this is not a failure")

_GPU = re.compile(
    r"""
      CUDA_ERROR_OUT_OF_MEMORY | cudaErrorMemoryAllocation | CUDA\ out\ of\ memory
    | CUDNN_STATUS_(NOT_INITIALIZED|INTERNAL_ERROR|ALLOC_FAILED) | [Cc]ould\ not\ create\ cudnn\ handle
    | CUBLAS_STATUS_(NOT_INITIALIZED|ALLOC_FAILED) | failed\ to\ create\ cublas\ handle
    | Failed\ to\ get\ convolution\ algorithm | DNN\ library\ initialization\ failed
    | Dst\ tensor\ is\ not\ initialized
    | allocator\ \(?GPU_\d+_bfc
    """,
    re.VERBOSE | re.IGNORECASE,
)

_HOST = re.compile(
    r"""
      std::bad_alloc | \bMemoryError\b | Unable\ to\ allocate\ .+\ for\ an\ array
    | by\ allocator\ (mkl)?cpu | Insufficient\ memory | Cannot\ allocate\ memory
    | can't\ start\ new\ thread | pthread_create\(\)\ failed
    | failed\ to\ map\ segment\ from\ shared\ object | returned\ NULL\ without\ setting\ an\ exception
    """,
    re.VERBOSE,
)

_EITHER = re.compile(r"RESOURCE_EXHAUSTED|ResourceExhaustedError|OOM when allocating tensor|\b[Oo]ut of memory\b")


def is_permanent(cause: Cause) -> bool:
    """Whether a restart can never help."""
    return cause in _PERMANENT


def judge(evidence: Evidence) -> Cause:
    """Name the cause of a death.

    What the child said itself counts before what was done to it: a worker that reported an out-of-memory and then
    hung or crashed on its way out died of the out-of-memory.
    """
    words = evidence.last_words
    if words is not None and words.exit_code in _SAID:
        return _of_exit_code(words.exit_code, evidence)
    if evidence.was_killed_by_us_for_hang:
        return Cause.HANG
    if evidence.signal is not None:
        return _of_signal(evidence.signal, evidence)
    return _of_exit_code(evidence.exit_code or 0, evidence)


def _of_signal(number: int, evidence: Evidence) -> Cause:
    if number == signal.SIGKILL and evidence.oom_kills:
        return Cause.HOST_OOM
    memory = _out_of_memory(evidence)
    if memory is not None:
        return memory
    # A failed allocation that nobody checked is a wild pointer. An abort says why it was called, but a stack of fifty
    # lines, printed after that, may have pushed it out of what was kept.
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT) and _is_near_limit(evidence):
        return Cause.HOST_OOM
    return Cause.CRASH


def _of_exit_code(code: int, evidence: Evidence) -> Cause:
    cause = _BY_EXIT_CODE.get(code)  # type: ignore[call-overload]  # an IntEnum equals its number
    if cause is not None:
        return Cause(cause)
    memory = _out_of_memory(evidence)
    if memory is not None:
        return memory
    if code == ExitCode.OUT_OF_MEMORY:
        return _on_gpu(evidence.phase) if evidence.on_gpu else Cause.HOST_OOM
    if code == _LOADER_FAILED and not any("cannot open shared object file" in line for line in evidence.stderr):
        return Cause.HOST_OOM
    return Cause.EXIT


def _out_of_memory(evidence: Evidence) -> Cause | None:
    """Which memory the child's own text says ran out, if any."""
    words = () if evidence.last_words is None else (evidence.last_words.message,)
    text = [line for line in (*evidence.stderr, *words) if not _HARMLESS.search(line)]
    if any(_GPU.search(line) for line in text):
        return _on_gpu(evidence.phase)
    if any(_HOST.search(line) for line in text):
        return Cause.HOST_OOM
    if any(_EITHER.search(line) for line in text):
        return _on_gpu(evidence.phase) if evidence.on_gpu else Cause.HOST_OOM
    return None


def _on_gpu(phase: Phase) -> Cause:
    return Cause.GPU_INIT_OOM if phase is Phase.LOADING else Cause.GPU_OOM


def _is_near_limit(evidence: Evidence) -> bool:
    if evidence.memory_mib is None or evidence.memory_limit_mib is None:
        return False
    near_mib = min(_NEAR_LIMIT_RATIO * evidence.memory_limit_mib, evidence.memory_limit_mib - _NEAR_LIMIT_MIB)
    return evidence.memory_mib >= near_mib
