"""The roster's file while the daemon runs: read and checked by its settings, planned, and kept once it is applied.

Used by the reloader's thread alone.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from capture.grouping import MosaicPlan
from daemon import yamltext
from daemon.check import check, check_roster
from daemon.configuration import Configuration, Origin, remember, save_grouping
from daemon.job import Job, plan_groups
from daemon.lastgood import StoredText
from daemon.problems import Checked, has_errors
from daemon.roster import Roster
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
        """Called once both files are valid, if the daemon began with what was last valid."""

    def read(self) -> Checked[bytes]:
        """Return the file's bytes, or why it cannot be read."""
        return yamltext.read(self._configuration.roster_path)

    def check(self, text: bytes) -> Checked[Roster]:
        """Return the roster that these are, by the settings that the daemon runs on."""
        document = yamltext.parse(text, str(self._configuration.roster_path))
        return document.then(lambda found: check_roster(found, self._configuration.settings, self._sources))

    def plan(self, roster: Roster) -> Job:
        """Return the job that this roster makes; cameras stay on the tiles where they are."""
        return self._plan(roster, plan_groups(roster, self._plans))

    def remember(self, text: bytes, job: Job) -> None:
        """Keep roster and grouping for the next start."""
        self._plans = job.plans
        save_grouping(self._configuration.settings.state_dir, job.plans)
        if self._configuration.texts is not None:
            settings, roster = self._configuration.texts
            roster = StoredText(roster.path, text.decode("utf-8", "replace"))
            self._configuration = replace(self._configuration, texts=(settings, roster))
            remember(self._configuration, self._origin)
        if self._configuration.notices and self._are_files_valid():
            self._configuration = replace(self._configuration, notices=())
            self.mended()

    def _are_files_valid(self) -> bool:
        origin = self._origin
        settings, _, problems = check(origin.settings_path, origin.roster_path, origin.overrides, self._sources)
        return settings == self._configuration.settings and not has_errors(problems)
