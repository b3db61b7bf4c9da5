"""Takes the memory of a worker through its own framework: a fault for tests and benchmarks, none of the product's.

Whoever starts the daemon (or a worker) gives it the environment of `environ_of`: Python then loads the fault at its
start (`sitecustomize`). The fault waits for orders, one a worker, that lie in the same folder.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Way = Literal["slow", "fast", "once", "rest"]
"""``slow``: beside the calls, a chunk each 10 ms. Within one call: ``fast``, chunk after chunk; ``once``, more than
there is, in one piece; ``rest``, all but 6 MiB, and then the call goes on."""

CHUNK_MIB = 4

FAULT = '''"""Takes the memory of a worker through its own framework, and keeps it, once that is ordered."""
import os, resource, sys, threading, time

KEPT, ORDERED = [], []

def take(mib):
    elements = int(mib * 2**18)
    if "tensorflow" in sys.modules:
        KEPT.append(sys.modules["tensorflow"].ones((elements,)))
        return
    openvino = sys.modules["openvino"]
    KEPT.append(openvino.Tensor(openvino.Type.f32, [elements]))
    KEPT[-1].data[:] = 1

def left():
    from inference.headroom import data_mib
    return resource.getrlimit(resource.RLIMIT_DATA)[0] / 2**20 - data_mib()

def take_in_call(way):
    if way == "once":
        take(left() + 64)
    while way == "fast":
        take(CHUNK_MIB)
    while way == "rest" and left() > 6:
        take(max(1, min(64, left() - 4)))

def run(name):
    while not hasattr(loading := sys.modules.get("inference.loading"), "load_engine"):
        time.sleep(0.01)
    detect = loading.Detector.detect
    def take_and_detect(self, images):
        if ORDERED and ORDERED[0] != "slow":
            take_in_call(ORDERED[0])
        return detect(self, images)
    loading.Detector.detect = take_and_detect
    order = os.path.join(os.environ["PYTHONFAULT"], name)
    while True:
        if not ORDERED and os.path.exists(order):
            with open(order) as file:
                ORDERED.append(file.read())
            os.unlink(order)  # its heir begins anew
        if ORDERED == ["slow"]:
            take(CHUNK_MIB)
        time.sleep(0.01)

if "inference.worker" in sys.orig_argv:
    name = sys.orig_argv[sys.orig_argv.index("inference.worker") + 1]
    threading.Thread(target=run, args=(name,), daemon=True).start()
'''


def environ_of(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Write the fault into an empty folder, and return what is to be set for a process to load it."""
    (folder / "sitecustomize.py").write_text(FAULT.replace("CHUNK_MIB", str(CHUNK_MIB)))
    path = environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{folder}:{path}" if path else str(folder), "PYTHONFAULT": str(folder)}


def order(folder: Path, worker: str, way: Way) -> None:
    """Have the memory of this worker taken, once, by the generation that lives."""
    new = folder / f".{worker}"
    new.write_text(way)
    new.replace(folder / worker)
