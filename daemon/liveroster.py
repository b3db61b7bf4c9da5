"""The roster's files while the daemon runs: read and checked by its settings, planned, and kept once it is applied.

Used by the reloader's thread alone.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from capture.grouping import MosaicPlan
from daemon import rostertext
from daemon.check import check, check_roster
from daemon.configuration import Configuration, Origin, remember, save_grouping, stored
from daemon.job import Job, plan_groups
from daemon.problems import Checked, has_errors
from daemon.roster import Roster
from daemon.rostertext import RosterText
from daemon.secrets import SecretSources

log = logging.getLogger(__name__)

Plan = Callable[[Roster, tuple[MosaicPlan, ...]], Job]
"""Makes a job of a roster and its mosaics, with the settings that the daemon runs on."""


class LiveRoster:
    """See :class:`daemon.reload.Source`."""

    def __init__(
        self, configuration: Configuration, origin: Origin, sources: SecretSources, plan: Plan, job: Job
    ) -> None:
        self._configuration = configuration
        self._origin = origin
        self._sources = sources.with_secrets_dir(configuration.settings.secrets_dir)
        self._plan = plan
        self._plans = job.plans
        self.mended: Callable[[], None] = lambda: None
        """Called once settings and roster are valid, if the daemon began with what was last valid."""
        self.patterns: tuple[Path, ...] = ()
        """What the roster includes by the last reading of it; replaced whole, read by other threads."""

    def read(self) -> RosterText:
        """Read the files."""
        text = rostertext.read(self._configuration.roster_path)
        if text.patterns is not None:
            self.patterns = text.patterns
        return text

    def check(self, text: RosterText) -> Checked[Roster]:
        """Return the roster that this is, by the settings that the daemon runs on."""
        return text.documents.then(lambda found: check_roster(found, self._configuration.settings, self._sources))

    def plan(self, roster: Roster) -> Job:
        """Return the job that this roster makes; cameras stay on the tiles where they are."""
        return self._plan(roster, plan_groups(roster, self._plans))

    def settle(self, job: Job) -> None:
        """Keep the grouping of what was applied."""
        self._plans = job.plans
        save_grouping(self._configuration.settings.state_dir, job.plans)

    @property
    def name(self) -> str:
        """The file's, for sentences."""
        name = self._configuration.roster_path.name
        return f"{name}, or a file that it includes" if self.patterns else name

    def remember(self, text: RosterText, job: Job) -> None:
        """Keep roster and grouping for the next start."""
        self.settle(job)
        if self._configuration.texts is not None:
            roster, *included = stored(text)
            texts = replace(self._configuration.texts, roster=roster, included=tuple(included))
            self._configuration = replace(self._configuration, texts=texts)
            remember(self._configuration)
        if self._configuration.notices and self._are_files_valid():
            self._configuration = replace(self._configuration, notices=())
            self.mended()

    def _are_files_valid(self) -> bool:
        origin = self._origin
        settings, _, problems = check(origin.settings_path, origin.roster_path, origin.overrides, self._sources)
        return settings == self._configuration.settings and not has_errors(problems)
