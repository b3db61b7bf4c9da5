"""The settings of events: whether there are any, and how long what is known of them is kept. Pure."""

from pydantic import Field

from daemon.fieldtypes import Strict, Switch
from events.retention import Retention

_DEFAULT = Retention()


class Events(Strict):
    """What happened, told once for each visit, instead of what was seen on each frame."""

    enabled: Switch = Field(default=False, description="Whether objects are followed and events of them are kept.")
    max_age_days: float = Field(
        default=_DEFAULT.max_age_days, gt=0, le=3650, description="Age in days from which events are deleted."
    )
    max_database_mib: float = Field(
        default=_DEFAULT.max_database_mib, gt=1, le=1 << 24, description="Size in MiB that the database may have."
    )

    @property
    def retention(self) -> Retention:
        """What is kept, and how long."""
        return Retention(max_age_days=self.max_age_days, max_database_mib=self.max_database_mib)
