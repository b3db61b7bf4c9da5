"""``mosaicd run``: from files to a running daemon, and back to nothing.

Entry point, so it reads the environment. Starts what has an owner (sinks, HTTP, supervisor) in order, and stops it in
the reverse one. Whatever can be refused is refused before anything has been started.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from capture.exits import ExitCode
from capture.grouping import MosaicPlan
from daemon import lastgood
from daemon.check import check, check_files, find_state_dir, model_labels
from daemon.control import Control, ControlError, TakenError
from daemon.devices import (
    DeviceKind,
    Plan,
    Unplannable,
    find_devices,
    plan_workers,
    run_inventory,
)
from daemon.job import Job, inherit, plan_groups, plan_job
from daemon.lastgood import LastGood, LastGoodError, StoredText
from daemon.logs import LogFormat, fields, set_up_logging
from daemon.metrics import CONTENT_TYPE, make_registry, render
from daemon.modelrun import CannotRunError, ModelRun, model_files, plan_runs
from daemon.notify import Notifier, NotifyError, open_notifier
from daemon.problems import has_errors
from daemon.roster import Roster, parse_roster
from daemon.secrets import SecretSources
from daemon.settings import Settings, parse_settings
from daemon.sinks.jsonl import JsonlOptions, JsonlSink
from daemon.supervisor import Supervisor
from daemon.wanted import name_devices, wishes_of
from daemon.web import BindError, HttpServer, ServeError, bind, make_app

log = logging.getLogger(__name__)

GROUPING_FILE = "grouping.json"
START_S = 900.0
"""A large model is built and measured within this, once."""
SINK_STOP_S = 5.0
HTTP_STOP_S = 2.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the daemon runs on."""

    settings: Settings
    roster: Roster
    notices: tuple[str, ...] = ()


def run(
    settings_path: Path, roster_path: Path | None, overrides: tuple[str, ...], environ: Mapping[str, str]
) -> ExitCode:
    """Run the daemon until SIGTERM or SIGINT; return the exit code. Errors are lines on stderr."""
    sources = SecretSources.from_environ(environ)
    configuration = _configure(settings_path, roster_path, overrides, sources, environ)
    if configuration is None:
        return ExitCode.CONFIG
    settings = configuration.settings
    set_up_logging(sys.stderr, style=LogFormat(settings.logging.format), level=settings.logging.level)
    try:
        notifier = open_notifier(environ, os.getpid())
        listener = bind(settings.http.address, settings.http.port)
    except (NotifyError, BindError) as error:
        return _fail(str(error), ExitCode.FAILURE)
    with listener:
        found = find_devices(partial(run_inventory, environ=inherit(environ))).divided(settings.cpu_parts)
        for notice in found.notices:
            log.warning("device notice", extra=fields(notice=notice))
        plans = plan_groups(configuration.roster, _load_grouping(settings.state_dir))
        named = name_devices(settings, found.devices)
        try:
            runs = plan_runs(
                settings,
                [device for device in found.devices if device.name in named or device.uuid in named],
                named,
                mosaics=len(plans),
                say=partial(_say_starting, notifier),
                environ=inherit(environ),
            )
        except CannotRunError as error:
            return _fail(f"{settings_path}: {error}", ExitCode.CONFIG)
        for kind, way in runs.items():
            log.info("model", extra=fields(device=kind.value, **way.spoken))
        workers = plan_workers(found.devices, wishes_of(named, found.devices, runs), mosaics=len(plans))
        if isinstance(workers, Unplannable):
            for problem in workers.problems:
                _fail(f"{settings_path}: devices: {problem}", ExitCode.CONFIG)
            return ExitCode.CONFIG
        for warning in workers.warnings:
            log.warning("device warning", extra=fields(warning=warning))
        if not configuration.notices:
            _remember(settings_path, roster_path or settings.roster, overrides, settings.state_dir)
        _save_grouping(settings.state_dir, plans)
        job = _plan(configuration, plans, workers, runs, environ)
        return _serve(configuration, job, notifier, listener)


def _serve(configuration: Configuration, job: Job, notifier: Notifier, listener: socket.socket) -> ExitCode:
    settings = configuration.settings
    try:
        control, notices = _open_control(settings.state_dir)
    except TakenError as error:
        return _fail(str(error), ExitCode.FAILURE)
    sinks = _sinks(settings)
    supervisor = Supervisor(job, sinks, notifier, notices=(*configuration.notices, *notices), control=control)
    registry = make_registry(lambda: supervisor.statistics, version=version("mosaicd"))
    app = make_app(
        lambda: supervisor.statistics,
        lambda: render(registry),
        lambda: time.monotonic() - supervisor.turned_s,
        CONTENT_TYPE,
    )
    http = HttpServer(app, listener)
    wake_read, wake_write = socket.socketpair()
    wake_read.setblocking(False)
    wake_write.setblocking(False)
    with wake_read, wake_write, nullcontext() if control is None else closing(control):
        # A signal only writes a byte and sets a flag: the loop does the work.
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: supervisor.stop())
        supervisor.watch(wake_read.fileno(), lambda: wake_read.recv(64))
        try:
            http.start()
        except ServeError as error:
            return _fail(str(error), ExitCode.FAILURE)
        for sink in sinks:
            sink.start()
        address, port = http.address
        cameras = sum(len([c for c in plan.cameras if c]) for plan in job.plans)
        log.info(
            "started",
            extra=fields(
                cameras=cameras, mosaics=len(job.plans), workers=len(job.workers), http=f"http://{address}:{port}"
            ),
        )
        try:
            supervisor.run()
        finally:
            notifier.stopping()
            ended = [*(sink.stop(SINK_STOP_S) for sink in sinks), http.stop(HTTP_STOP_S)]
            signal.set_wakeup_fd(-1)
    log.info("stopped")
    if not all(ended):
        # A thread that a dead disk holds would keep the interpreter waiting for it.
        sys.stderr.flush()
        os._exit(ExitCode.OK)
    return ExitCode.OK


def _open_control(state_dir: Path) -> tuple[Control | None, tuple[str, ...]]:
    """Return the control socket; without one, if the disk is full say, cameras are watched all the same: a notice."""
    try:
        return Control(state_dir), ()
    except TakenError:
        raise
    except ControlError as error:
        log.warning("no control socket", extra=fields(reason=str(error)))
        return None, (f"nothing can be ordered: {error}",)


def _configure(
    settings_path: Path,
    roster_path: Path | None,
    overrides: tuple[str, ...],
    sources: SecretSources,
    environ: Mapping[str, str],
) -> Configuration | None:
    """Return what to run on: the files, or what was last valid; None, with everything said, if neither will do."""
    settings, roster, problems = check(settings_path, roster_path, overrides, sources)
    for problem in problems:
        print(problem, file=sys.stderr)
    if settings is not None and roster is not None and not has_errors(problems):
        return Configuration(settings, roster)
    state_dir = settings.state_dir if settings else find_state_dir(settings_path, overrides, environ)
    recalled = _recall(state_dir, settings_path, roster_path, overrides, sources)
    if recalled is None:
        _fail("nothing to run on: mend what is named above; `mosaicd check` looks again", ExitCode.CONFIG)
    return recalled


def _remember(settings_path: Path, roster_path: Path, overrides: tuple[str, ...], state_dir: Path) -> None:
    try:
        texts = [StoredText(str(path.absolute()), path.read_text("utf-8")) for path in (settings_path, roster_path)]
        lastgood.save(state_dir, LastGood(texts[0], texts[1], overrides))
    except (OSError, UnicodeDecodeError, LastGoodError) as error:
        # Not a reason not to run: it is only missed after a reboot with a broken roster.
        print(f"mosaicd: valid settings not remembered: {error}", file=sys.stderr)


def _recall(
    state_dir: Path,
    settings_path: Path,
    roster_path: Path | None,
    overrides: tuple[str, ...],
    sources: SecretSources,
) -> Configuration | None:
    """Return the last valid configuration of this very command line, if it still is one.

    Another one is a person at work, who wants to be told of mistakes, not a machine that has lost power.
    """
    try:
        kept = lastgood.load(state_dir)
    except LastGoodError as error:
        print(f"mosaicd: {error}", file=sys.stderr)
        return None
    if kept is None or kept.settings.path != str(settings_path.absolute()) or kept.overrides != overrides:
        return None
    if roster_path is not None and kept.roster.path != str(roster_path.absolute()):
        return None
    base = Path(kept.settings.path).parent
    settings = parse_settings(kept.settings.text, file=kept.settings.path, base=base, overrides=kept.overrides).value
    if settings is None or has_errors(check_files(settings)):
        return None
    roster = parse_roster(
        kept.roster.text,
        file=kept.roster.path,
        mosaic_fps=settings.mosaic.fps,
        sources=sources.with_secrets_dir(settings.secrets_dir),
        stale_s=settings.mosaic.stale_s,
    ).value
    if roster is None:
        return None
    notice = "running on the last valid settings and roster, because the files are broken"
    print(f"mosaicd: {notice}", file=sys.stderr)
    return Configuration(settings, roster, (notice,))


def _say_starting(notifier: Notifier, what: str) -> None:
    log.info(what)
    notifier.starting(what, START_S)


def _plan(
    configuration: Configuration,
    plans: tuple[MosaicPlan, ...],
    workers: Plan,
    runs: Mapping[DeviceKind, ModelRun],
    environ: Mapping[str, str],
) -> Job:
    files = model_files(configuration.settings)
    return plan_job(
        configuration.settings,
        configuration.roster,
        plans,
        workers,
        labels=model_labels(files.names),
        runs=runs,
        cores=len(os.sched_getaffinity(0)),
        environ=environ,
    )


def _sinks(settings: Settings) -> tuple[JsonlSink, ...]:
    jsonl = settings.sinks.jsonl
    if not jsonl.enabled:
        return ()
    options = JsonlOptions(
        per_camera=jsonl.per_camera,
        empty=jsonl.empty,
        max_mib=jsonl.max_mib,
        max_age_days=jsonl.max_age_days,
        max_old_mib=jsonl.max_total_mib,
    )
    return (JsonlSink(settings.state_dir, options),)


def _load_grouping(state_dir: Path) -> tuple[MosaicPlan, ...]:
    try:
        return msgspec.json.decode((state_dir / GROUPING_FILE).read_bytes(), type=tuple[MosaicPlan, ...])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        log.warning("grouping forgotten", extra=fields(error=str(error)))
        return ()


def _save_grouping(state_dir: Path, plans: tuple[MosaicPlan, ...]) -> None:
    """Keep the grouping, so that a restart after a change of the roster moves no camera."""
    new = state_dir / f"{GROUPING_FILE}.new"
    try:
        new.write_bytes(msgspec.json.encode(plans))
        new.replace(state_dir / GROUPING_FILE)
    except OSError as error:
        log.warning("grouping not kept", extra=fields(error=error.strerror))


def _fail(message: str, code: ExitCode) -> ExitCode:
    print(f"mosaicd: {message}", file=sys.stderr)
    return code
