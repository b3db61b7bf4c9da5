"""Every form of death that was seen or read about, and the cause it must be given."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from capture.exits import ExitCode
from capture.messages import LastWords
from daemon.verdict import Cause, Evidence, Phase, is_permanent, judge

KILL, SEGV, ABRT, BUS, TERM = 9, 11, 6, 7, 15

# Seen on a CPU with TensorFlow 2.21.
MKL = "W0000 op_kernel.cc:1844] OP_REQUIRES failed at mkl_util.h:1242 : RESOURCE_EXHAUSTED: OOM when allocating tensor"
CPU_TENSOR = (
    "tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor with shape[32,416]"
)
MKLCPU = "OOM when allocating tensor with shape[32,208,208,32] and type float on /device:CPU:0 by allocator mklcpu"
DISGUISED = (
    "TypeError: Binding inputs to tf.function failed due to 'Unable to allocate 63.4 MiB for an array with shape (32,)'"
)
NUMPY = "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array with shape (1000000000,)"
NUMPY_PLAIN = "numpy._core._exceptions.MemoryError"
PYTHON = "MemoryError"
OPENCV = (
    "cv2.error: OpenCV(4.10.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 99 bytes in function"
)
THREAD = "RuntimeError: can't start new thread"
BAD_ALLOC = "terminate called after throwing an instance of 'std::bad_alloc'"
PTHREAD = (
    "F0000 env.cc:74] Check failed: ret == 0 (11 vs. 0) Thread tf_numa_-1_Eigen creation via pthread_create() failed."
)
MAP = "ImportError: libtensorflow_cc.so.2: failed to map segment from shared object"
NULL = "SystemError: <built-in method> returned NULL without setting an exception"
MISSING = "python: error while loading shared libraries: libpython3.11.so: cannot open shared object file: No such file"

# Read in issues about GPUs.
GPU_TENSOR = "OOM when allocating tensor with shape[8,64] on /job:localhost/device:GPU:0 by allocator GPU_0_bfc"
BFC = "Allocator (GPU_0_bfc) ran out of memory trying to allocate 1.51GiB (rounded to 1623457792)requested by op Conv2D"
DEVICE = "failed to allocate 1.51G (1623457792 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory"
CONTEXT = "failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY: out of memory"
CUDNN_HANDLE = "E cuda_dnn.cc:329] Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED"
CUDNN_INTERNAL = "E cuda_dnn.cc:334] Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR"
CUDNN_ALLOC = "E cuda_dnn.cc:1000] CUDNN_STATUS_ALLOC_FAILED in tensorflow/stream_executor/cuda/cuda_dnn.cc(4141)"
CONVOLUTION = "UnknownError: Failed to get convolution algorithm. This is probably because cuDNN failed to initialize"
CUBLAS = "E cuda_blas.cc:226] failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED"
COPY = "InternalError: Dst tensor is not initialized."
HARMLESS = (
    "Allocator (GPU_0_bfc) ran out of memory trying to allocate 2.20GiB with freed_by_count=0. The caller indicates "
    "that this is not a failure, but this may mean that there could be performance gains if more memory were available."
)
XLA = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1623457792 bytes."

ON_GPU = (GPU_TENSOR, BFC, DEVICE, CONTEXT, CUDNN_HANDLE, CUDNN_INTERNAL, CUDNN_ALLOC, CONVOLUTION, CUBLAS, COPY)
ON_HOST = (
    MKL,
    CPU_TENSOR,
    MKLCPU,
    DISGUISED,
    NUMPY,
    NUMPY_PLAIN,
    PYTHON,
    OPENCV,
    THREAD,
    BAD_ALLOC,
    PTHREAD,
    MAP,
    NULL,
)


def words(code: ExitCode, message: str = "") -> LastWords:
    return LastWords(exit_code=int(code), message=message)


@pytest.mark.parametrize("line", ON_HOST)
@pytest.mark.parametrize(
    "end", [Evidence(exit_code=1), Evidence(exit_code=70), Evidence(signal=ABRT), Evidence(signal=SEGV)]
)
@pytest.mark.parametrize("phase", Phase)
def test_host_memory_is_named_whatever_the_end(line, end, phase):
    assert judge(replace(end, stderr=("I0000 starting", line, "  at frame 3"), phase=phase)) is Cause.HOST_OOM


@pytest.mark.parametrize("line", ON_GPU)
@pytest.mark.parametrize(
    "end", [Evidence(exit_code=1), Evidence(exit_code=70), Evidence(exit_code=72), Evidence(signal=ABRT)]
)
def test_gpu_memory_is_named_by_phase(line, end):
    assert judge(replace(end, stderr=(line,), phase=Phase.LOADING)) is Cause.GPU_INIT_OOM
    assert judge(replace(end, stderr=(line, "later"), phase=Phase.WORKING)) is Cause.GPU_OOM


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        # signals without a word
        (Evidence(signal=KILL, oom_kills=1), Cause.HOST_OOM),
        (Evidence(signal=KILL, oom_kills=0), Cause.CRASH),
        (Evidence(signal=KILL), Cause.CRASH),
        (Evidence(signal=KILL, memory_mib=990, memory_limit_mib=1000), Cause.CRASH),
        (Evidence(signal=SEGV), Cause.CRASH),
        (Evidence(signal=SEGV, memory_mib=899, memory_limit_mib=1000), Cause.CRASH),
        (Evidence(signal=SEGV, memory_mib=900, memory_limit_mib=1000), Cause.HOST_OOM),
        (Evidence(signal=BUS, memory_mib=1100, memory_limit_mib=1000), Cause.HOST_OOM),
        (Evidence(signal=SEGV, memory_mib=900, memory_limit_mib=None), Cause.CRASH),
        (Evidence(signal=SEGV, memory_mib=float("nan"), memory_limit_mib=1000), Cause.CRASH),
        (Evidence(signal=SEGV, oom_kills=1), Cause.CRASH),  # that kill was another process's
        (Evidence(signal=ABRT), Cause.CRASH),
        (Evidence(signal=ABRT, memory_mib=990, memory_limit_mib=1000), Cause.HOST_OOM),
        (Evidence(signal=SEGV, memory_mib=67, memory_limit_mib=100), Cause.CRASH),
        (Evidence(signal=SEGV, memory_mib=68, memory_limit_mib=100), Cause.HOST_OOM),  # malloc may want 32 at once
        (Evidence(signal=TERM), Cause.CRASH),
        # a warning is no evidence
        (Evidence(signal=SEGV, stderr=(HARMLESS,), on_gpu=True), Cause.CRASH),
        (Evidence(exit_code=70, stderr=(HARMLESS,)), Cause.EXIT),
        (Evidence(signal=ABRT, stderr=(HARMLESS, BFC)), Cause.GPU_OOM),
        # text that fits both: the device decides
        (Evidence(exit_code=70, stderr=(XLA,), on_gpu=True), Cause.GPU_OOM),
        (Evidence(exit_code=70, stderr=(XLA,), on_gpu=True, phase=Phase.LOADING), Cause.GPU_INIT_OOM),
        (Evidence(exit_code=70, stderr=(XLA,)), Cause.HOST_OOM),
        (Evidence(exit_code=70, stderr=(MKLCPU,), on_gpu=True), Cause.HOST_OOM),
        # the loader
        (Evidence(exit_code=127), Cause.HOST_OOM),
        (Evidence(exit_code=127, stderr=(MAP,), phase=Phase.LOADING), Cause.HOST_OOM),
        (Evidence(exit_code=127, stderr=(MISSING,)), Cause.EXIT),
        # exit codes
        (Evidence(exit_code=ExitCode.OK), Cause.EXIT),
        (Evidence(exit_code=ExitCode.OK, stderr=(MKL,)), Cause.EXIT),
        (Evidence(exit_code=ExitCode.FAILURE), Cause.EXIT),
        (Evidence(exit_code=ExitCode.USAGE), Cause.CONFIG),
        (Evidence(exit_code=ExitCode.ORPHANED), Cause.EXIT),
        (Evidence(exit_code=ExitCode.BROKEN), Cause.EXIT),
        (Evidence(exit_code=ExitCode.OUT_OF_MEMORY), Cause.HOST_OOM),
        (Evidence(exit_code=ExitCode.OUT_OF_MEMORY, on_gpu=True), Cause.GPU_OOM),
        (Evidence(exit_code=ExitCode.OUT_OF_MEMORY, on_gpu=True, phase=Phase.LOADING), Cause.GPU_INIT_OOM),
        (Evidence(exit_code=ExitCode.DEVICE), Cause.EXIT),
        (Evidence(exit_code=ExitCode.MODEL, stderr=(MKL,)), Cause.MODEL),
        (Evidence(exit_code=ExitCode.CONFIG), Cause.CONFIG),
        (Evidence(exit_code=ExitCode.QUOTA), Cause.HOST_OOM),
        (Evidence(exit_code=200), Cause.EXIT),
        # last words
        (Evidence(exit_code=71, last_words=words(ExitCode.OUT_OF_MEMORY, GPU_TENSOR)), Cause.GPU_OOM),
        (Evidence(exit_code=71, last_words=words(ExitCode.OUT_OF_MEMORY, DISGUISED), on_gpu=True), Cause.HOST_OOM),
        (Evidence(signal=SEGV, last_words=words(ExitCode.OUT_OF_MEMORY)), Cause.HOST_OOM),
        (Evidence(signal=ABRT, last_words=words(ExitCode.MODEL, "weights end early")), Cause.MODEL),
        (Evidence(exit_code=70, last_words=words(ExitCode.BROKEN, NUMPY)), Cause.HOST_OOM),
        (Evidence(exit_code=70, last_words=words(ExitCode.BROKEN, "KeyError: 'x'")), Cause.EXIT),
        (Evidence(signal=SEGV, last_words=words(ExitCode.QUOTA, "left")), Cause.HOST_OOM),
        # hang
        (Evidence(signal=KILL, was_killed_by_us_for_hang=True), Cause.HANG),
        (Evidence(signal=KILL, was_killed_by_us_for_hang=True, stderr=(MKL,)), Cause.HANG),
        (
            Evidence(signal=KILL, was_killed_by_us_for_hang=True, last_words=words(ExitCode.OUT_OF_MEMORY)),
            Cause.HOST_OOM,
        ),
    ],
)
def test_verdict(evidence, cause):
    assert judge(evidence) is cause


def test_popen_returncodes_become_evidence():
    assert Evidence.of_returncode(-11) == Evidence(signal=11)
    assert Evidence.of_returncode(0) == Evidence(exit_code=0)


def test_only_model_and_config_are_permanent():
    assert {cause for cause in Cause if is_permanent(cause)} == {Cause.MODEL, Cause.CONFIG}


@pytest.mark.parametrize("line", (Path(__file__).parent / "data" / "quota_deaths.jsonl").read_text().splitlines())
def test_each_recorded_death_at_the_wall_is_named(line):
    """As `bench/quota_deaths.py` recorded them of real workers (TensorFlow 2.21, OpenVINO 2026, kernel 6.18)."""
    seen = json.loads(line)
    # What the crew makes of its looks; one at a process that is about to be gone tells nothing.
    *_, before, last = (mib for mib in seen["looks_mib"] if mib)
    evidence = replace(
        Evidence.of_returncode(seen["returncode"]),
        stderr=tuple(seen["stderr"]),
        last_words=words(seen["words_code"], seen["words"]) if seen["words_code"] else None,
        phase=Phase.LOADING if seen["doing"] == "loading" else Phase.WORKING,
        memory_mib=last + max(0.0, last - before),
        memory_limit_mib=seen["limit_mib"],
    )
    is_refused = seen["words_code"] == ExitCode.CONFIG
    assert judge(evidence) is (Cause.CONFIG if is_refused else Cause.HOST_OOM)
