"""How many workers and devices so many cameras need, and what they can expect of them. Pure.

Computes with what was measured (:class:`Kind`): how fast so many workers at once are on a device. What fits is decided
by :func:`daemon.quota.admit`; a point that is refused, or granted with a warning, is never planned. Knows no files:
:mod:`daemon.measurement` reads what was measured.

A mosaic is one worker's at a time, so no mosaic is answered faster than one worker can. Mosaics go to workers by
speed: each to the one that then gives its mosaics the most (the divisor method of D'Hondt, by which the slowest
mosaic is as fast as can be, and no more workers ever make it slower).
"""

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, repeat

from capture.grouping import MosaicPlan, Seat, group
from daemon.quota import DeviceMemory, Granted, MemoryMode, Quota, admit

_ALMOST = 1 - 1e-9
"""Of the wanted rate: floats need not be equal."""


@dataclass(frozen=True, slots=True)
class Point:
    """So many equal workers at once on one device, as measured."""

    mode: MemoryMode
    fraction: float | None
    """Of the device's memory, for each worker; None where the mode has none."""
    workers: int
    mosaics_per_s: float
    """Of all of them together; 0 where it failed: that is never planned, but whether it fits is told."""
    threads: int = 0
    """CPU threads of each worker; 0 where that is not known."""
    peak_mib: float = 0.0
    """The most memory that a worker held within its limit; 0 where that is not known."""

    @property
    def worker_hz(self) -> float:
        """Mosaics a second of one worker while the others work too."""
        return self.mosaics_per_s / self.workers


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device, and what was measured on one."""

    name: str
    memory: DeviceMemory
    points: tuple[Point, ...]
    cores: int = 0
    """Of a CPU, which then is a machine of its own and decodes too; 0 for a GPU."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to be looked at, and how often."""

    mosaics: tuple[MosaicPlan, ...]
    hz: float
    """Mosaics composed a second, of each; over 0."""
    camera_hz: Mapping[str, float] = field(default_factory=dict)
    """Of cameras that want less than `hz`."""

    @property
    def cameras(self) -> tuple[tuple[str, str], ...]:
        """Each camera and its mosaic."""
        return tuple((camera, plan.name) for plan in self.mosaics for camera in plan.cameras if camera)


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that decodes."""

    cores: int = 0
    decode_cores: float = 0.0
    """CPU-seconds a second that decoding one camera takes; 0 where it was not measured, and then costs nothing."""


class Resource(StrEnum):
    """What can be short."""

    DECODING = "decoding"
    MEMORY = "memory"
    ARITHMETIC = "arithmetic"


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What one device is to do."""

    device: str
    kind: str
    point: Point
    limit_mib: int | None
    """Of each worker; None where it may grow."""
    worker_hz: float
    """Mosaics a second that each worker can do beside decoding."""
    mosaics: tuple[int, ...]
    """How many each worker has."""


@dataclass(frozen=True, slots=True)
class CameraRate:
    """What one camera can expect."""

    camera: str
    mosaic: str
    device: str
    wanted_hz: float
    expected_hz: float


@dataclass(frozen=True, slots=True)
class Loss:
    """What is left when one device is lost and its mosaics go to the others, whose workers stay as they are."""

    device: str
    slowest_hz: float
    """Of any mosaic; 0 where no device is left."""
    is_met: bool


@dataclass(frozen=True, slots=True)
class Need:
    """How many devices of one kind, and no other, the demand needs."""

    kind: str
    devices: int | None
    """None: no number is enough."""
    slowest_hz: float
    """Of any mosaic with so many devices, or with as many as mosaics where that is not enough."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The plan, and what comes of it."""

    devices: tuple[DeviceUse, ...]
    """Those on which anything fits."""
    quotas: tuple[Quota, ...]
    """Of every kind of device and measured point, granted or not."""
    cameras: tuple[CameraRate, ...]
    slowest_hz: float
    """Of any mosaic."""
    is_met: bool
    """Whether every mosaic is answered at the wanted rate."""
    load: Mapping[Resource, float]
    """How much of each resource is wanted, by what there is; of memory and arithmetic, where it is shortest."""
    binds: Resource
    """Without more of it no mosaic is answered faster; where the wanted rate is met, what is nearest to its end."""
    losses: tuple[Loss, ...]
    needs: tuple[Need, ...]
    """One a kind."""


@dataclass(frozen=True, slots=True)
class _Staffed:
    """A device with its choice of a point."""

    name: str
    kind: Kind
    point: Point
    grant: Granted


@dataclass(frozen=True, slots=True)
class _Answered:
    """What so many workers make of the demand."""

    staffed: tuple[_Staffed, ...]
    seats: tuple[int, ...]
    """Mosaics of each worker, in the devices' order."""
    speeds_hz: tuple[float, ...]
    """Of each worker."""
    supply_hz: float
    """At most so often is a mosaic new: the rate wanted, or what is left of it where decoding cannot follow."""

    @property
    def slowest_hz(self) -> float:
        """Of any mosaic; 0 where there is no worker."""
        shares = [speed / mosaics for speed, mosaics in zip(self.speeds_hz, self.seats, strict=True) if mosaics]
        return min([self.supply_hz, *shares]) if shares else 0.0

    @property
    def total_hz(self) -> float:
        pairs = zip(self.speeds_hz, self.seats, strict=True)
        return sum(min(speed, mosaics * self.supply_hz) for speed, mosaics in pairs)


def demand_of(cameras: int, hz: float) -> Demand:
    """So many cameras that nobody has named, four to a mosaic."""
    width = len(str(cameras))
    return Demand(group([Seat(f"cam-{number:0{width}}") for number in range(1, cameras + 1)]), hz)


def plan(devices: Mapping[str, Kind], demand: Demand, host: Host = Host()) -> Outlook:
    """Choose the workers of each device, and tell what they make of the demand.

    Raises ``ValueError`` for a demand without mosaics, or a rate of 0.
    """
    if not demand.mosaics or demand.hz <= 0:
        raise ValueError("a plan wants at least one camera and a rate over 0")
    best = _best(devices, demand, host)
    kinds = tuple(dict.fromkeys(devices.values()))
    return Outlook(
        devices=_uses(best),
        quotas=tuple(chain.from_iterable(map(_quotas, kinds))),
        cameras=_cameras(best, demand),
        slowest_hz=best.slowest_hz,
        is_met=_is_met(best, demand),
        load=_load(best, devices, demand, host),
        binds=_binds(best, devices, demand, host),
        losses=tuple(_loss(best, name, demand, host) for name in devices),
        needs=tuple(_need(kind, demand, host) for kind in kinds),
    )


def share_out(speeds_hz: Sequence[float], mosaics: int) -> tuple[int, ...]:
    """How many of so many mosaics each worker gets; none where there is no worker.

    Each goes to the worker that then gives its mosaics the most, the first of equals.
    """
    seats = [0] * len(speeds_hz)
    queue = [(-speed, place) for place, speed in enumerate(speeds_hz)]
    heapq.heapify(queue)
    for _ in range(mosaics if queue else 0):
        place = queue[0][1]
        seats[place] += 1
        heapq.heapreplace(queue, (-speeds_hz[place] / (seats[place] + 1), place))
    return tuple(seats)


def _quotas(kind: Kind) -> tuple[Quota, ...]:
    """One a point, in their order."""
    return tuple(
        Quota(kind.name, point.mode, kind.memory, admit(kind.memory, point.mode, point.workers, point.fraction))
        for point in kind.points
    )


def _fitting(name: str, kind: Kind) -> list[_Staffed]:
    return [
        _Staffed(name, kind, point, quota.decision)
        for point, quota in zip(kind.points, _quotas(kind), strict=True)
        if isinstance(quota.decision, Granted) and not quota.decision.warning and point.mosaics_per_s
    ]


def _best(devices: Mapping[str, Kind], demand: Demand, host: Host) -> _Answered:
    """The choice of a point for each device by which the slowest mosaic is fastest, then most are answered, then most
    is left for when a device is lost.

    Many slow workers answer most, few fast ones answer each mosaic soonest. So each speed that was measured is tried
    as the least that a worker must have; every device then takes the point that does most. A device's choice depends
    on that speed alone, so one more device never makes anything slower.
    """
    fitting = [found for name, kind in devices.items() if (found := _fitting(name, kind))]
    speeds = sorted({item.point.worker_hz for found in fitting for item in found})
    tried = [_answer([_choose(found, least) for found in fitting], demand, host) for least in (0.0, *speeds)]
    return max(tried, key=lambda one: (one.slowest_hz, one.total_hz, sum(one.speeds_hz)))


def _choose(found: Sequence[_Staffed], least_hz: float) -> _Staffed:
    """What does most with workers of at least this speed; the fastest workers where none has it."""
    quick = [item for item in found if item.point.worker_hz >= least_hz]
    if not quick:
        return max(found, key=lambda item: item.point.worker_hz)
    return max(quick, key=lambda item: (item.point.mosaics_per_s, -item.grant.needed_mib))


def _answer(staffed: Sequence[_Staffed], demand: Demand, host: Host) -> _Answered:
    decoding = _decoding(staffed, demand, host)
    speeds = tuple(
        chain.from_iterable(
            repeat(item.point.worker_hz * (max(0.0, 1 - decoding) if item.kind.cores else 1.0), item.point.workers)
            for item in staffed
        )
    )
    supply_hz = demand.hz / max(1.0, decoding)
    return _Answered(tuple(staffed), share_out(speeds, len(demand.mosaics)), speeds, supply_hz)


def _decoding(staffed: Sequence[_Staffed], demand: Demand, host: Host) -> float:
    """How much of the cores decoding wants: of the host's, or of all CPUs where they are more; 0 if not known."""
    cores = max(host.cores, sum(item.kind.cores for item in staffed))
    return len(demand.cameras) * host.decode_cores / cores if cores else 0.0


def _is_met(answered: _Answered, demand: Demand) -> bool:
    return answered.slowest_hz >= demand.hz * _ALMOST


def _uses(answered: _Answered) -> tuple[DeviceUse, ...]:
    uses, first = [], 0
    for item in answered.staffed:
        last = first + item.point.workers
        limit_mib, hz = item.grant.limit_mib, answered.speeds_hz[first]
        uses.append(DeviceUse(item.name, item.kind.name, item.point, limit_mib, hz, answered.seats[first:last]))
        first = last
    return tuple(uses)


def _cameras(answered: _Answered, demand: Demand) -> tuple[CameraRate, ...]:
    names = chain.from_iterable(repeat(item.name, item.point.workers) for item in answered.staffed)
    workers = list(zip(names, answered.speeds_hz, answered.seats, strict=True))
    places = list(chain.from_iterable(repeat((name, speed / seats), seats) for name, speed, seats in workers if seats))
    places += [("", 0.0)] * (len(demand.mosaics) - len(places))  # where there is no worker at all
    by_mosaic = {mosaic.name: place for mosaic, place in zip(demand.mosaics, places, strict=True)}
    rates = []
    for camera, mosaic in demand.cameras:
        device, answered_hz = by_mosaic[mosaic]
        wanted_hz = min(demand.hz, demand.camera_hz.get(camera, demand.hz))
        expected_hz = min(wanted_hz, answered.supply_hz, answered_hz)
        rates.append(CameraRate(camera, mosaic, device, wanted_hz, expected_hz))
    return tuple(rates)


def _load(answered: _Answered, devices: Mapping[str, Kind], demand: Demand, host: Host) -> dict[Resource, float]:
    """A resource of which nothing is left, or that fits nowhere, is wanted without end."""
    workers = [
        seats * demand.hz / speed if speed else float("inf")
        for seats, speed in zip(answered.seats, answered.speeds_hz, strict=True)
        if seats
    ]
    memory = [_held_mib(item) / item.grant.free_mib for item in answered.staffed if item.grant.free_mib]
    return {
        Resource.DECODING: _decoding(answered.staffed, demand, host),
        Resource.MEMORY: max(memory) if len(answered.staffed) == len(devices) and memory else float("inf"),
        Resource.ARITHMETIC: max(workers, default=float("inf")),
    }


def _held_mib(item: _Staffed) -> float:
    """What its workers, with overhead and reserve, take of a device: all that is granted, unless it was measured."""
    if not item.point.peak_mib:
        return item.grant.needed_mib
    memory = item.kind.memory
    return item.point.workers * (item.point.peak_mib + memory.overhead_mib) + memory.reserve_mib


def _binds(answered: _Answered, devices: Mapping[str, Kind], demand: Demand, host: Host) -> Resource:
    """Found by trying: is anything faster if decoding costs nothing, or if everything fits?"""
    if _is_met(answered, demand):
        load = _load(answered, devices, demand, host)
        return max(load, key=lambda resource: load[resource])
    if _best(devices, demand, Host(host.cores)).slowest_hz > answered.slowest_hz / _ALMOST:
        return Resource.DECODING
    everything_mib = 1 << 40
    roomy = {
        name: Kind(kind.name, DeviceMemory(everything_mib, 0, 0, 0), _quota_free(kind.points), kind.cores)
        for name, kind in devices.items()
    }
    if _best(roomy, demand, host).slowest_hz > answered.slowest_hz / _ALMOST:
        return Resource.MEMORY
    return Resource.ARITHMETIC


def _quota_free(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points as if memory did not matter; without those of several growing workers, which never are planned."""
    return tuple(
        replace(point, mode=MemoryMode.FRACTION, fraction=None)
        for point in points
        if point.mode is not MemoryMode.GROWTH or point.workers == 1
    )


def _loss(answered: _Answered, device: str, demand: Demand, host: Host) -> Loss:
    left = _answer([item for item in answered.staffed if item.name != device], demand, host)
    return Loss(device, left.slowest_hz, _is_met(left, demand))


def _need(kind: Kind, demand: Demand, host: Host) -> Need:
    """Found by halving: more devices never make anything slower. More of them than mosaics can only decode."""

    def answered(number: int) -> _Answered:
        return _best({f"{kind.name}-{place}": kind for place in range(number)}, demand, host)

    numbers = range(1, len(demand.cameras if kind.cores else demand.mosaics) + 1)
    place = bisect_left(numbers, True, key=lambda number: _is_met(answered(number), demand))
    enough = numbers[place] if place < len(numbers) else None
    return Need(kind.name, enough, answered(enough or numbers[-1]).slowest_hz)
