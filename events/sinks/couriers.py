"""All couriers: made of what the settings name, started and stopped together.

A recipient that cannot be made, for want of a file of certificates say, has no courier, and hinders nobody: what is for
it waits in its outbox until the daemon is started again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from events.mediapaths import MEDIA
from events.messages import DATABASE, EventsSetup
from events.sinks import jsonl
from events.sinks.announced import Announced
from events.sinks.courier import Courier, CourierPolicy, CourierStatistics, Recipient
from events.sinks.mqtt import Mqtt
from events.sinks.options import MqttOptions
from events.sinks.webhook import Webhook
from events.words import Kind, Notice
from events.writer import Delivered, EventWriter

_USUAL = CourierPolicy()


class Couriers:
    """``start`` and ``stop`` are for the owner's thread, ``statistics`` for any. ``tell`` must not wait."""

    def __init__(self, setup: EventsSetup, tell: Callable[[Notice], None]) -> None:
        self._setup = setup
        self._tell = tell
        self._couriers: list[Courier] = []
        self._unmade: list[CourierStatistics] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outboxes, also of those that nobody empties now."""
        return tuple(name for name, _, _ in self._wanted())

    def start(self, writer: EventWriter) -> None:
        """Make and start all; once. ``writer`` keeps the outboxes of these names."""
        path = Path(self._setup.folder) / DATABASE
        for name, policy, make in self._wanted():
            try:
                recipient = make()
            except (OSError, ValueError) as error:
                self._note_unmade(name, error)
                continue
            self._couriers.append(
                Courier(
                    path,
                    recipient,
                    news=writer.news(name),
                    delivered=partial(_hand_over, writer, name),
                    tell=self._tell,
                    policy=policy,
                )
            )
        for courier in self._couriers:
            courier.start()

    def stop(self, tell_s: float, end_s: float) -> bool:
        """Let all that are well tell what waits, within ``tell_s`` together, and join them, within ``end_s`` together.

        False if one did not end in time. What was not told is told after the next start.
        """
        until_s = time.monotonic() + tell_s
        for courier in self._couriers:
            if courier.statistics().is_well:
                courier.wait_empty(max(0.0, until_s - time.monotonic()))
        for courier in self._couriers:
            courier.interrupt()
        until_s = time.monotonic() + end_s
        ended = [courier.stop(max(0.0, until_s - time.monotonic())) for courier in self._couriers]
        return all(ended)

    def statistics(self) -> tuple[CourierStatistics, ...]:
        """Counts of each since the start."""
        return (*(courier.statistics() for courier in self._couriers), *self._unmade)

    def _wanted(self) -> Iterator[tuple[str, CourierPolicy, Callable[[], Recipient]]]:
        setup, folder = self._setup, Path(self._setup.folder)
        yield jsonl.EventLines.name, jsonl.POLICY, partial(jsonl.EventLines, folder)
        if (mqtt := setup.mqtt) is not None:
            yield mqtt.name, _USUAL, partial(_mqtt, mqtt, folder)
        for webhook in setup.webhooks:
            yield webhook.name, _USUAL, partial(Webhook, webhook)

    def _note_unmade(self, name: str, error: OSError | ValueError) -> None:
        cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self._unmade.append(CourierStatistics(name, dict.fromkeys(Kind, 0), 0, 0, 0, is_well=False, cause=cause))
        self._tell(Notice("sink cannot be made", {"sink": name, "cause": cause}))


def _mqtt(options: MqttOptions, folder: Path) -> Mqtt:
    return Mqtt(options, folder / MEDIA, Announced(folder / f"{options.name}.json"))


def _hand_over(writer: EventWriter, name: str, seqs: Sequence[int]) -> None:
    writer.offer(Delivered(name, tuple(seqs)))
