"""Who may import what: read from the sources, and seen in a fresh interpreter."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("capture", "inference", "events", "daemon", "simulator")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

ENTRY_POINTS = {
    "capture/process.py",
    "daemon/cli.py",
    "daemon/main.py",
    "inference/export.py",
    "inference/worker.py",
    "simulator/train.py",
}
"""The only files that may read ``os.environ``."""

FRAMEWORKS = {"tensorflow", "keras", "openvino"}

IMPURE = {"socket", "threading", "subprocess", "logging", "time", "av", *FRAMEWORKS}
"""What a module that says "Pure." does not import."""

TRAINING = ("simulator/train.py", "simulator/training/")
"""Makes the model that comes with mosaicd, in the form that `inference` reads; nothing of the running product."""

HEAVY = {"av", "cv2", "simulator", *FRAMEWORKS}
"""What supervisor and events never load: what decodes hostile video and what runs out of memory are other children."""


def name_of(path: Path) -> str:
    """The path from the repository's root, with slashes."""
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports anywhere in it, and of what it takes from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(*modules: str) -> set[str]:
    """Files that import any of these modules."""
    return {name_of(path) for path in SOURCES if {name.split(".")[0] for name in imported(path)} & set(modules)}


def reads_environment(path: Path) -> bool:
    """Whether a file looks at the environment of its process."""
    names = {"environ", "environb", "getenv", "getenvb"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in names:
                return True
        elif isinstance(node, ast.ImportFrom) and node.module == "os" and names & {a.name for a in node.names}:
            return True
    return False


def says_pure(path: Path) -> bool:
    """Whether the module's docstring claims that it is pure, without exception."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return any(line.strip().endswith("Pure.") for line in docstring.splitlines())


def outside(files: set[str], *places: str) -> list[str]:
    """The files that lie in none of the places, which are folders (ending in a slash) or files."""
    return sorted(file for file in files if not file.startswith(places))


def test_av_is_imported_only_where_video_is_read_or_served() -> None:
    assert outside(importers("av"), "capture/", "simulator/") == []


def test_frameworks_are_imported_only_in_inference() -> None:
    assert outside(importers(*FRAMEWORKS), "inference/", *TRAINING) == []


def test_prometheus_is_known_to_the_metrics_alone() -> None:
    own = ("daemon/metrics.py", "daemon/childmetrics.py", "daemon/eventmetrics.py", "daemon/metricfamilies.py")
    assert outside(importers("prometheus_client"), *own) == []


def test_environment_is_read_only_by_entry_points() -> None:
    readers = {name_of(path) for path in SOURCES if reads_environment(path)}
    assert sorted(readers - ENTRY_POINTS) == []


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("capture", ("inference", "events", "daemon", "simulator")),
        ("inference", ("events", "daemon", "simulator")),
        ("events", ("inference", "daemon", "simulator")),
        ("simulator", ("capture", "inference", "events", "daemon")),
    ],
)
def test_imports_go_one_way(package: str, forbidden: tuple[str, ...]) -> None:
    wrong = [file for file in sorted(importers(*forbidden)) if file.startswith(f"{package}/")]
    assert outside(set(wrong), *TRAINING) == []


def test_simulator_is_loaded_by_one_command_only() -> None:
    """`mosaicd chaos` uses it, too, but runs it as programs: it is a user of `mosaicd simulate`."""
    assert outside(importers("simulator"), "simulator/", "daemon/cli.py") == []


def test_chaos_is_known_to_its_own_command_only() -> None:
    knowing = {name_of(path) for path in SOURCES if any(name.startswith("daemon.chaos") for name in imported(path))}
    assert outside(knowing, "daemon/chaos/", "daemon/cli_chaos.py") == []


def test_what_comes_into_a_child_brings_nothing_along() -> None:
    """Before the child itself is loaded, and within its memory: the gremlin imports what is there anyway."""
    loads = {name.split(".")[0] for name in imported(ROOT / "daemon/chaos/gremlin.py")}
    assert loads - set(sys.stdlib_module_names) == {"numpy", "msgspec", "capture"}


@pytest.mark.parametrize("path", [path for path in SOURCES if says_pure(path)], ids=name_of)
def test_pure_module_touches_nothing(path: Path) -> None:
    assert {name.split(".")[0] for name in imported(path)} & IMPURE == set()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree), "no module docstring"


def test_supervisor_and_events_load_no_decoder_and_no_framework() -> None:
    modules = [name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in SOURCES]
    program = "\n".join(
        (
            "import importlib, sys",
            *(f"importlib.import_module({m!r})" for m in modules if m.split(".")[0] in ("events", "daemon")),
            f"print('LOADED', sorted({HEAVY!r} & sys.modules.keys()))",
        )
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"
