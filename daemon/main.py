"""``mosaicd run``: from files to a running daemon, and back to nothing.

Entry point, so it reads the environment. Starts what has an owner (sinks, HTTP, supervisor) in order, and stops it in
the reverse one. Whatever can be refused is refused before anything has been started.
"""

import faulthandler
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path

from capture.exits import ExitCode
from capture.grouping import MosaicPlan
from daemon.access import make_access
from daemon.api import make_api
from daemon.apievents import make_events
from daemon.apiorders import make_orders
from daemon.apistream import make_stream
from daemon.check import model_labels
from daemon.configuration import Configuration, Origin, configure, load_grouping, remember, save_grouping
from daemon.control import Control, ControlError, TakenError
from daemon.devices import (
    DeviceKind,
    Plan,
    Unplannable,
    find_devices,
    plan_workers,
    run_inventory,
)
from daemon.eventplan import FOLDER, events_database
from daemon.filewatch import FileWatch
from daemon.httpsettings import find_token
from daemon.inbox import Inbox
from daemon.job import Job, inherit, plan_groups, plan_job
from daemon.liveroster import LiveRoster
from daemon.login import make_login
from daemon.logjournal import open_journal
from daemon.logs import LogFormat, fields, set_up_logging
from daemon.metrics import CONTENT_TYPE, make_registry, render
from daemon.modelrun import CannotRunError, ModelRun, model_files, plan_runs, subjects_of
from daemon.notify import Notifier, NotifyError, open_notifier
from daemon.overhead import recall_each, watch_each
from daemon.overheads import Overheads, open_overheads
from daemon.overheads import load as load_overheads
from daemon.page import make_page
from daemon.pictures import Pictures
from daemon.recent import Recent
from daemon.recipients import Recipients, find_recipients
from daemon.reload import Reloader, Trigger
from daemon.roster import Roster
from daemon.secrets import Secret, SecretSources
from daemon.settings import Settings
from daemon.sinks.jsonl import JsonlOptions, JsonlSink
from daemon.supervisor import Supervisor
from daemon.switches import Switches, switched
from daemon.wanted import name_devices, wishes_of
from daemon.web import BindError, HttpServer, ServeError, bind, make_app

log = logging.getLogger(__name__)

START_S = 900.0
"""A large model is built and measured within this, once."""
SINK_STOP_S = 5.0
HTTP_STOP_S = 2.0
RELOAD_STOP_S = 2.0
REST_STOP_S = SINK_STOP_S + HTTP_STOP_S + 2 * RELOAD_STOP_S + 5.0
"""All of these, one after the other, and something over; the children end before."""


def run(
    settings_path: Path, roster_path: Path | None, overrides: tuple[str, ...], environ: Mapping[str, str]
) -> ExitCode:
    """Run the daemon until SIGTERM or SIGINT; return the exit code. Errors are lines on stderr."""
    sources = SecretSources.from_environ(environ)
    origin = Origin(settings_path, roster_path, overrides)
    configuration = configure(origin, sources, environ)
    if configuration is None:
        return ExitCode.CONFIG
    settings = configuration.settings
    places = sources.with_secrets_dir(settings.secrets_dir)
    token, told = find_token(settings.http, places), find_recipients(settings.events, places)
    for each in token.faults:  # of what was last valid: else it is among the problems
        _fail(f"http.token: {each.message} ({each.remedy})", ExitCode.CONFIG)
    for fault in told.faults:
        _fail(str(fault), ExitCode.CONFIG)
    if token.faults or told.faults:
        return ExitCode.CONFIG
    set_up_logging(
        sys.stderr,
        style=LogFormat(settings.logging.format),
        level=settings.logging.level,
        journal=open_journal(environ, sys.stderr.fileno()),
    )
    # What systemd's watchdog ends (SIGABRT) says in its last words where it hung.
    faulthandler.enable()
    try:
        notifier = open_notifier(environ, os.getpid())
        listener = bind(settings.http.address, settings.http.port)
    except (NotifyError, BindError) as error:
        return _fail(str(error), ExitCode.FAILURE)
    with listener:
        found = find_devices(partial(run_inventory, environ=inherit(environ))).divided(settings.cpu_parts)
        for notice in found.notices:
            log.warning("device notice", extra=fields(notice=notice))
        switches, previous = Switches(settings.state_dir), load_grouping(settings.state_dir)
        cameras = switched(configuration.roster, switches.off)
        plans = plan_groups(cameras, previous)
        # Workers are planned for the cameras that are switched off, too: they may come back at any time.
        mosaics = len(plan_groups(configuration.roster, previous))
        named = name_devices(settings, found.devices)
        try:
            runs = plan_runs(
                settings,
                [device for device in found.devices if device.name in named or device.uuid in named],
                named,
                mosaics=mosaics,
                say=partial(_say_starting, notifier),
                environ=inherit(environ),
            )
        except CannotRunError as error:
            return _fail(f"{settings_path}: {error}", ExitCode.CONFIG)
        for kind, way in runs.items():
            log.info("model", extra=fields(device=kind.value, **way.spoken))
        if settings.events.enabled:
            log.info("events", extra=fields(folder=settings.state_dir / FOLDER, told=" ".join(("jsonl", *told.names))))
        subjects = subjects_of(settings, found.devices)
        known = recall_each(load_overheads(settings.state_dir), subjects)
        wishes = wishes_of(named, found.devices, runs, known)
        workers = plan_workers(found.devices, wishes, mosaics=mosaics)
        if isinstance(workers, Unplannable):
            for problem in workers.problems:
                _fail(f"{settings_path}: devices: {problem}", ExitCode.CONFIG)
            return ExitCode.CONFIG
        for warning in workers.warnings:
            log.warning("device warning", extra=fields(warning=warning))
        if not configuration.notices:
            remember(configuration)
        save_grouping(settings.state_dir, plans)
        plan = partial(_plan, settings, workers=workers, runs=runs, environ=environ, told=told)
        job = plan(cameras, plans)
        roster = LiveRoster(configuration, origin, sources, plan, job)
        watched = watch_each(workers.workers, wishes, subjects, mosaics=mosaics)
        with closing(open_overheads(settings.state_dir, watched, inherit(environ))) as overheads:
            return _serve(
                configuration,
                job,
                roster,
                overheads,
                switches=switches,
                token=token.secret,
                notifier=notifier,
                listener=listener,
            )


def _serve(
    configuration: Configuration,
    job: Job,
    roster: LiveRoster,
    overheads: Overheads,
    *,
    switches: Switches,
    token: Secret | None,
    notifier: Notifier,
    listener: socket.socket,
) -> ExitCode:
    settings = configuration.settings
    try:
        control, notices = _open_control(settings.state_dir)
    except TakenError as error:
        return _fail(str(error), ExitCode.FAILURE)
    sinks = _sinks(settings)
    recent, pictures, inbox = Recent(), Pictures(), Inbox()
    shown = (*configuration.notices, *notices)
    supervisor = Supervisor(
        job,
        sinks,
        notifier,
        notices=shown,
        control=control,
        inbox=inbox,
        recent=recent,
        pictures=pictures,
        overheads=overheads,
        after_s=REST_STOP_S,
    )
    roster.mended = lambda: supervisor.show(notices)
    reloader = supervisor.reloader = Reloader(roster, supervisor, configuration.roster, switches)
    saved = FileWatch(
        configuration.roster_path, lambda: reloader.request(Trigger("saved", is_quiet=True)), lambda: roster.patterns
    )
    registry = make_registry(lambda: supervisor.statistics, version=version("mosaicd"))
    app = make_app(
        lambda: supervisor.statistics,
        lambda: render(registry),
        lambda: time.monotonic() - supervisor.turned_s,
        CONTENT_TYPE,
        routers=[
            make_api(lambda: supervisor.statistics, recent, pictures, version("mosaicd")),
            make_stream(recent, events_database(settings)),
            make_orders(inbox.order),
            make_events(events_database(settings)),
            make_page(),
            *([make_login(token)] if token else []),
        ],
        access=make_access(settings.http.address, settings.http.hosts, token),
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
        signal.signal(signal.SIGHUP, lambda _number, _frame: reloader.request(Trigger("SIGHUP")))
        supervisor.watch(wake_read.fileno(), lambda: wake_read.recv(64))
        try:
            http.start()
        except ServeError as error:
            return _fail(str(error), ExitCode.FAILURE)
        for sink in sinks:
            sink.start()
        reloader.start(configuration.digest)
        saved.start()
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
            notifier.stopping(REST_STOP_S)
            ended = [*(sink.stop(SINK_STOP_S) for sink in sinks), http.stop(HTTP_STOP_S)]
            ended += [saved.stop(RELOAD_STOP_S), reloader.stop(RELOAD_STOP_S)]
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


def _say_starting(notifier: Notifier, what: str) -> None:
    log.info(what)
    notifier.starting(what, START_S)


def _plan(
    settings: Settings,
    roster: Roster,
    plans: tuple[MosaicPlan, ...],
    *,
    workers: Plan,
    runs: Mapping[DeviceKind, ModelRun],
    environ: Mapping[str, str],
    told: Recipients,
) -> Job:
    files = model_files(settings)
    return plan_job(
        settings,
        roster,
        plans,
        workers,
        labels=model_labels(files.names),
        runs=runs,
        cores=len(os.sched_getaffinity(0)),
        environ=environ,
        told=told,
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


def _fail(message: str, code: ExitCode) -> ExitCode:
    print(f"mosaicd: {message}", file=sys.stderr)
    return code
