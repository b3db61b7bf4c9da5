"""The settings of events: whether there are any, how long what is known of them is kept, and who is told. Pure."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from daemon.fieldtypes import Strict, Switch
from daemon.rosterfile import Name
from daemon.sinksettings import MAX_WEBHOOKS, MqttBroker, WebHook
from events.retention import Retention

_DEFAULT = Retention()
_Mib = Annotated[float, Field(gt=0, le=1 << 24)]
_Days = Annotated[float, Field(gt=0, le=3650)]


class Media(Strict):
    """How long pictures and clips of events are kept, and how many."""

    max_age_days: _Days = Field(
        default=_DEFAULT.media_max_age_days, description="Age in days from which pictures and clips are deleted."
    )
    max_mib: _Mib = Field(
        default=_DEFAULT.max_media_mib, description="Size in MiB of all of them, the oldest of which go first."
    )
    camera_max_mib: _Mib = Field(
        default=_DEFAULT.camera_max_media_mib, description="Size in MiB of those of one camera, likewise."
    )
    min_free_mib: Annotated[float, Field(ge=0, le=1 << 24)] = Field(
        default=_DEFAULT.min_free_mib, description="MiB of the disk that are left free: the oldest go until they are."
    )


class Events(Strict):
    """What happened, told once for each visit, instead of what was seen on each frame."""

    enabled: Switch = Field(default=True, description="Whether objects are followed and events of them are kept.")
    max_age_days: _Days = Field(
        default=_DEFAULT.max_age_days, description="Age in days from which events are deleted, with all that is theirs."
    )
    max_database_mib: float = Field(
        default=_DEFAULT.max_database_mib, gt=1, le=1 << 24, description="Size in MiB that the database may have."
    )
    media: Media = Field(default=Media(), description="Their pictures and clips.")
    mqtt: MqttBroker | None = Field(default=None, description="The MQTT broker that is told; null is none.")
    webhooks: Mapping[Name, WebHook] = Field(
        default={},
        max_length=MAX_WEBHOOKS,
        description="Web servers that are told, each by a name for log and metrics.",
    )

    @property
    def retention(self) -> Retention:
        """What is kept, and how long."""
        return Retention(
            max_age_days=self.max_age_days,
            max_database_mib=self.max_database_mib,
            media_max_age_days=self.media.max_age_days,
            max_media_mib=self.media.max_mib,
            camera_max_media_mib=self.media.camera_max_mib,
            min_free_mib=self.media.min_free_mib,
        )
