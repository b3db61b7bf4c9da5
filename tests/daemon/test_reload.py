"""The reloader's thread with a source and a loop of our own: what is switched, and what a reload makes of it."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from daemon.job import Job
from daemon.orders import Difference, NoSuchCamera, Refused, Reply, SwitchCamera, Switched
from daemon.problems import Checked, Problem
from daemon.reload import Outcome, Reloader, Switching, Trigger
from daemon.roster import Roster
from daemon.rostertext import RosterText
from daemon.switches import Switches
from tests.daemon.test_change import job_of
from tests.daemon.test_job import roster_of

DEADLINE_S = 20.0
TWO = roster_of("cameras:\n  c1: {url: 'rtsp://h/1'}\n  c2: {url: 'rtsp://h/2'}\n")
BROKEN: Checked[Roster] = Checked(None, (Problem("cameras.yaml", 1, 1, "", "it is broken"),))


@dataclass
class Site:
    """A roster's file, and a loop that takes every job."""

    roster: Checked[Roster] = field(default_factory=lambda: Checked(TWO))
    planned: list[list[str]] = field(default_factory=list)
    applied: list[Job] = field(default_factory=list)
    settled: list[Job] = field(default_factory=list)
    name: str = "cameras.yaml"

    def read(self) -> RosterText:
        return RosterText((), Checked(()))

    def check(self, text: RosterText) -> Checked[Roster]:
        return self.roster

    def plan(self, roster: Roster) -> Job:
        self.planned.append([camera.name for camera in roster.enabled])
        return job_of({camera.name: "" for camera in roster.enabled})

    def settle(self, job: Job) -> None:
        self.settled.append(job)

    def remember(self, text: RosterText, job: Job) -> None:
        self.settled.append(job)

    def submit(self, job: Job, *, is_trial: bool) -> "Future[Difference]":
        future: Future[Difference] = Future()
        future.set_result(Difference(removed=("c1",)))
        if not is_trial:
            self.applied.append(job)
        return future


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def reloader(site: Site, tmp_path: Path) -> Iterator[Reloader]:
    reloader = Reloader(site, site, TWO, Switches(tmp_path))
    reloader.start(b"")
    yield reloader
    assert reloader.stop(DEADLINE_S)


def switch(reloader: Reloader, name: str, *, is_on: bool) -> Reply:
    replies: list[Reply] = []
    done = threading.Event()
    reloader.request(Switching(SwitchCamera(name, is_on), lambda reply: (replies.append(reply), done.set())))
    assert done.wait(DEADLINE_S)
    return replies[0]


def reload(reloader: Reloader, *, is_trial: bool = False) -> Outcome:
    outcomes: list[Outcome] = []
    done = threading.Event()
    reloader.request(Trigger("asked", is_trial, answer=lambda outcome: (outcomes.append(outcome), done.set())))
    assert done.wait(DEADLINE_S)
    return outcomes[0]


def test_a_camera_is_switched_off_and_on(site: Site, reloader: Reloader, tmp_path: Path) -> None:
    assert switch(reloader, "c1", is_on=False) == Switched("c1", False, Difference(removed=("c1",)))
    assert (site.planned, Switches(tmp_path).off) == ([["c2"]], {"c1"})
    assert switch(reloader, "c1", is_on=True) == Switched("c1", True, Difference(removed=("c1",)))
    assert (site.planned, Switches(tmp_path).off) == ([["c2"], ["c1", "c2"]], set())
    assert site.settled == site.applied
    assert reloader.reloads.succeeded == 0, "nothing was read"


def test_what_is_so_already_is_not_applied_again(site: Site, reloader: Reloader) -> None:
    assert switch(reloader, "c1", is_on=True) == Switched("c1", True)
    assert switch(reloader, "c9", is_on=False) == NoSuchCamera("c9", "")
    assert site.planned == []


def test_a_reload_and_a_trial_leave_off_what_is_off(site: Site, reloader: Reloader) -> None:
    switch(reloader, "c1", is_on=False)
    reload(reloader, is_trial=True)
    reload(reloader)
    assert site.planned == [["c2"]] * 3


def test_a_name_that_an_applied_roster_no_longer_has_is_forgotten(site: Site, reloader: Reloader, tmp_path) -> None:
    switch(reloader, "c1", is_on=False)
    site.roster = Checked(roster_of("cameras:\n  c2: {url: 'rtsp://h/2'}\n"))
    reload(reloader, is_trial=True)
    assert Switches(tmp_path).off == {"c1"}
    reload(reloader)
    assert Switches(tmp_path).off == frozenset()


def test_a_file_that_has_been_broken_since_keeps_nobody_from_switching(site: Site, reloader: Reloader) -> None:
    site.roster = BROKEN
    assert reload(reloader).difference is None
    assert isinstance(switch(reloader, "c1", is_on=False), Switched)
    assert site.planned == [["c2"]]


def test_what_the_roster_disables_is_not_enabled(site: Site, reloader: Reloader) -> None:
    site.roster = Checked(roster_of("cameras:\n  c1: {url: 'rtsp://h/1', enabled: false}\n  c2: {url: 'rtsp://h/2'}\n"))
    reload(reloader)
    found = switch(reloader, "c1", is_on=True)
    assert isinstance(found, Refused)
    assert "disabled in cameras.yaml" in found.why
