"""What the daemon runs on: the files, or what was last valid; and what it keeps for its next start.

Owns the order of those two, and the grouping's file in the state folder. Errors are lines on stderr: there may be no
log yet.
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capture.grouping import MosaicPlan
from daemon import kept, lastgood, rostertext
from daemon.check import check, check_files, find_state_dir
from daemon.lastgood import LastGood, LastGoodError, StoredText
from daemon.logs import fields
from daemon.problems import has_errors
from daemon.roster import Roster, roster_from
from daemon.rostertext import RosterText, WrittenFile
from daemon.secrets import SecretSources
from daemon.settings import Settings, parse_settings

log = logging.getLogger(__name__)

GROUPING_FILE = "grouping.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a configuration comes from: what the command line names."""

    settings_path: Path
    roster_path: Path | None = None
    """None is where the settings say."""
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the daemon runs on."""

    settings: Settings
    roster: Roster
    roster_path: Path
    texts: LastGood | None = None
    """Settings and roster as they were written; None where they could not be read again."""
    notices: tuple[str, ...] = ()

    @property
    def digest(self) -> bytes:
        """What a reading of the same roster has; empty where it is not known."""
        texts = self.texts.roster_texts if self.texts else ()
        return rostertext.digest(each.text.encode() for each in texts) if texts else b""


def configure(origin: Origin, sources: SecretSources, environ: Mapping[str, str]) -> Configuration | None:
    """Return what to run on; None, with everything said, if neither the files nor what was last valid will do."""
    settings, roster, problems = check(origin.settings_path, origin.roster_path, origin.overrides, sources)
    for problem in problems:
        print(problem, file=sys.stderr)
    if settings is not None and roster is not None and not has_errors(problems):
        roster_path = origin.roster_path or settings.roster
        return Configuration(settings, roster, roster_path, _texts(origin, roster_path))
    state_dir = settings.state_dir if settings else find_state_dir(origin.settings_path, origin.overrides, environ)
    recalled = _recall(state_dir, origin, sources)
    if recalled is None:
        message = "nothing to run on: mend what is named above; `mosaicd check` looks again"
        print(f"mosaicd: {message}", file=sys.stderr)
    return recalled


def remember(configuration: Configuration) -> None:
    """Keep this for a start on which the files are broken. It is no reason not to run that it cannot be kept."""
    try:
        if configuration.texts is not None:
            lastgood.save(configuration.settings.state_dir, configuration.texts)
    except LastGoodError as error:
        log.warning("valid settings not remembered", extra=fields(error=error))


def load_grouping(state_dir: Path) -> tuple[MosaicPlan, ...]:
    """Return the grouping of the last run; nothing where there is none, or none that can be read."""
    return kept.load(state_dir / GROUPING_FILE, tuple[MosaicPlan, ...], "grouping") or ()


def save_grouping(state_dir: Path, plans: tuple[MosaicPlan, ...]) -> None:
    """Keep the grouping, so that a restart after a change of the roster moves no camera."""
    kept.save(state_dir / GROUPING_FILE, plans, "grouping")


def stored(text: RosterText) -> tuple[StoredText, ...]:
    """Return the files of a valid roster as they are kept."""
    return tuple(StoredText(str(Path(file.path).absolute()), file.content.decode("utf-8")) for file in text.files)


def _texts(origin: Origin, roster_path: Path) -> LastGood | None:
    try:
        settings = StoredText(str(origin.settings_path.absolute()), origin.settings_path.read_text("utf-8"))
        roster, *included = stored(rostertext.read(roster_path))
    except (OSError, ValueError):
        return None  # it has just been replaced by another: what was read is valid all the same
    return LastGood(settings, roster, origin.overrides, tuple(included))


def _is_of(last: LastGood, origin: Origin) -> bool:
    roster_path = origin.roster_path or Path(last.roster.path)
    wanted = (str(origin.settings_path.absolute()), str(roster_path.absolute()), origin.overrides)
    return (last.settings.path, last.roster.path, last.overrides) == wanted


def _recall(state_dir: Path, origin: Origin, sources: SecretSources) -> Configuration | None:
    """Return the last valid configuration of this very command line, if it still is one.

    Another one is a person at work, who wants to be told of mistakes, not a machine that has lost power.
    """
    try:
        last = lastgood.load(state_dir)
    except LastGoodError as error:
        print(f"mosaicd: {error}", file=sys.stderr)
        return None
    if last is None or not _is_of(last, origin):
        return None
    base = Path(last.settings.path).parent
    settings = parse_settings(last.settings.text, file=last.settings.path, base=base, overrides=last.overrides).value
    if settings is None or has_errors(check_files(settings)):
        return None
    documents = rostertext.parse([WrittenFile(each.path, each.text.encode()) for each in last.roster_texts])
    mosaic, known = settings.mosaic, sources.with_secrets_dir(settings.secrets_dir)
    roster = documents.then(lambda found: roster_from(found, mosaic.fps, known, mosaic.stale_s)).if_valid().value
    if roster is None:
        return None
    notice = "running on the last valid settings and roster, because the files are broken"
    print(f"mosaicd: {notice}", file=sys.stderr)
    return Configuration(settings, roster, Path(last.roster.path), last, (notice,))
