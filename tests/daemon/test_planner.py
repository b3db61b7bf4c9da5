"""Plans by value: the author's conclusion of 2019 from what he measured, then what must hold for any measurement."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.grouping import MosaicPlan
from daemon.measurement import kind_of, parse_measurement
from daemon.planner import Demand, Host, Kind, Outlook, Point, Resource, demand_of, plan, share_out
from daemon.quota import Denied, DeviceMemory, Granted, MemoryMode, admit

# What DESIGN.md tells of 2019. That author's overhead and reserve are not told: these are stated in the file, 500 MiB a
# worker (DESIGN.md: 0.25 to 0.6 GiB) and 512 MiB a card.
GTX_1080 = kind_of(parse_measurement((Path(__file__).parent / "data" / "gtx1080.json").read_bytes()))

ONE = Point(MemoryMode.FRACTION, 0.25, 1, 10.0)
TWO = Point(MemoryMode.FRACTION, 0.25, 2, 16.0)


def cards(kind: Kind, number: int) -> dict[str, Kind]:
    return {f"gpu-{place}": kind for place in range(number)}


def kind(*points: Point, total_mib: int = 8192, overhead_mib: int = 500, cores: int = 0) -> Kind:
    return Kind("card", DeviceMemory(total_mib, 0, overhead_mib, 512), points, cores)


# --- 2019 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [2.5, 3.0, 3.8])
def test_32_cameras_take_three_cards_of_three_workers_of_a_quarter(hz: float) -> None:
    """At any rate that a worker of three does, 3.88 a second, and that two cards do not give eight mosaics, 2.42."""
    outlook = plan(cards(GTX_1080, 3), demand_of(32, hz))
    assert [need.devices for need in outlook.needs] == [3]
    assert [(use.point.workers, use.point.fraction, use.limit_mib) for use in outlook.devices] == [(3, 0.25, 2048)] * 3
    assert [use.mosaics for use in outlook.devices] == [(1, 1, 1), (1, 1, 1), (1, 1, 0)]
    assert outlook.is_met
    assert {rate.expected_hz for rate in outlook.cameras} == {hz}
    assert len(outlook.cameras) == 32


def test_its_memory_is_full_and_a_larger_fraction_is_refused_with_the_numbers() -> None:
    outlook = plan(cards(GTX_1080, 1), demand_of(32, 3.0))
    assert outlook.load[Resource.MEMORY] == (3 * (2048 + 500) + 512) / 8192
    [refused] = [quota.decision for quota in outlook.quotas if isinstance(quota.decision, Denied)]
    assert str(refused) == (
        "3 workers of 0.30 of 8192 MiB need 9383 MiB (each 2457 + 500 overhead, reserve 512), but 8192 MiB are free "
        "(foreign processes hold 0); the largest fraction that fits is 0.25"
    )


def test_three_that_grow_starve_each_other_and_are_never_planned() -> None:
    growing = replace(GTX_1080, points=tuple(p for p in GTX_1080.points if p.mode is MemoryMode.GROWTH))
    outlook = plan(cards(growing, 3), demand_of(32, 3.0))
    assert (outlook.devices, outlook.slowest_hz, outlook.needs[0].devices) == ((), 0.0, None)
    assert {rate.expected_hz for rate in outlook.cameras} == {0.0}


def test_a_higher_rate_takes_fewer_and_faster_workers_on_more_cards() -> None:
    """Five a second are more than one of three workers does (3.88), or one of two (4.85): one worker a card is left."""
    outlook = plan(cards(GTX_1080, 8), demand_of(32, 5.0))
    assert {use.point.workers for use in outlook.devices} == {1}
    assert (outlook.is_met, outlook.needs[0].devices) == (True, 8)
    assert plan(cards(GTX_1080, 1), demand_of(32, 7.0)).needs[0].devices is None  # one alone does 6.78


def test_a_lost_card_is_told() -> None:
    outlook = plan(cards(GTX_1080, 3), demand_of(32, 3.0))
    assert [loss.device for loss in outlook.losses] == ["gpu-0", "gpu-1", "gpu-2"]
    # six workers for eight mosaics: two of them have two
    assert [loss.slowest_hz for loss in outlook.losses] == [pytest.approx(1 / 0.2577 / 2)] * 3
    assert not any(loss.is_met for loss in outlook.losses)
    assert all(loss.is_met for loss in plan(cards(GTX_1080, 4), demand_of(32, 3.0)).losses)
    [alone] = plan(cards(GTX_1080, 1), demand_of(32, 3.0)).losses
    assert (alone.slowest_hz, alone.is_met) == (0.0, False)


# --- by value --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speeds_hz", "mosaics", "seats"),
    [
        ((), 3, ()),
        ((1.0,), 0, (0,)),
        ((1.0, 1.0), 3, (2, 1)),
        ((10.0, 1.0), 3, (3, 0)),  # a third of the fast one is more than the slow one
        ((10.0, 5.0), 3, (2, 1)),
        ((0.0, 1.0), 2, (0, 2)),
    ],
)
def test_mosaics_are_shared_out_by_speed(speeds_hz: tuple[float, ...], mosaics: int, seats: tuple[int, ...]) -> None:
    assert share_out(speeds_hz, mosaics) == seats


def test_a_camera_expects_no_more_than_it_wants() -> None:
    plans = (MosaicPlan("m1", ("a", "b", None, None)), MosaicPlan("m2", ("c", None, None, None)))
    outlook = plan({"gpu-0": kind(ONE)}, Demand(plans, 8.0, {"b": 2.0}))
    assert [(rate.camera, rate.mosaic, rate.wanted_hz, rate.expected_hz) for rate in outlook.cameras] == [
        ("a", "m1", 8.0, 5.0),
        ("b", "m1", 2.0, 2.0),
        ("c", "m2", 8.0, 5.0),
    ]


@pytest.mark.parametrize(
    ("devices", "hz", "host", "binds", "slowest_hz"),
    [
        # met, and the memory is what is nearest to its end: 3012 of 8192 MiB, a tenth of the arithmetic
        ({"gpu-0": kind(ONE)}, 0.5, Host(), Resource.MEMORY, 0.5),
        ({"gpu-0": kind(ONE)}, 5.0, Host(), Resource.ARITHMETIC, 5.0),
        # its worker was never seen to hold more than 100 MiB: 1112 of 8192 MiB
        ({"gpu-0": kind(replace(ONE, peak_mib=100.0))}, 1.0, Host(), Resource.ARITHMETIC, 1.0),
        ({"gpu-0": kind(replace(ONE, peak_mib=200.0))}, 0.5, Host(), Resource.MEMORY, 0.5),
        ({"gpu-0": kind(ONE)}, 5.0, Host(2, 0.3), Resource.DECODING, 5 / 1.2),
        ({"gpu-0": kind(ONE)}, 8.0, Host(2, 0.01), Resource.ARITHMETIC, 5.0),
        # two workers would be faster, but they do not fit
        ({"gpu-0": kind(ONE, TWO, total_mib=3000)}, 8.0, Host(), Resource.MEMORY, 5.0),
        ({"gpu-0": kind(TWO, total_mib=1000)}, 8.0, Host(), Resource.MEMORY, 0.0),
        # a CPU decodes with the cores that it computes with: half of them are left
        ({"cpu": kind(ONE, cores=4)}, 5.0, Host(4, 0.25), Resource.DECODING, 2.5),
        ({"cpu": kind(ONE, cores=4)}, 5.0, Host(4, 1.0), Resource.DECODING, 0.0),
    ],
)
def test_what_binds(devices: dict[str, Kind], hz: float, host: Host, binds: Resource, slowest_hz: float) -> None:
    outlook = plan(devices, demand_of(8, hz), host)
    assert (outlook.binds, outlook.slowest_hz) == (binds, pytest.approx(slowest_hz))


def test_more_machines_decode_too_where_the_device_is_the_cpu() -> None:
    [need] = plan({"cpu": kind(ONE, cores=4)}, demand_of(8, 5.0), Host(4, 0.25)).needs
    assert need.devices == 2  # each decodes four cameras with a core, and has three quarters of ten a second


def test_a_demand_of_nothing_is_an_error() -> None:
    for demand in (Demand((), 5.0), demand_of(4, 0.0)):
        with pytest.raises(ValueError, match="at least one camera and a rate over 0"):
            plan({"gpu-0": kind(ONE)}, demand)


# --- properties ------------------------------------------------------------------------------------------------------

points = st.builds(
    Point,
    mode=st.sampled_from(MemoryMode),
    fraction=st.none() | st.floats(0.01, 1),
    workers=st.integers(1, 5),
    mosaics_per_s=st.just(0.0) | st.floats(0.1, 200),
)
memories = st.builds(
    DeviceMemory,
    total_mib=st.integers(1, 20_000),
    foreign_mib=st.integers(0, 4000),
    overhead_mib=st.integers(0, 1000),
    reserve_mib=st.integers(0, 1000),
)
kinds = st.builds(
    Kind,
    name=st.sampled_from(["a", "b"]),
    memory=memories,
    points=st.lists(points, max_size=5).map(tuple),
    cores=st.sampled_from([0, 0, 4]),
)
fleets = st.lists(kinds, max_size=4).map(lambda found: {f"d{place}": one for place, one in enumerate(found)})
demands = st.builds(demand_of, st.integers(1, 40), st.floats(0.1, 30))
hosts = st.builds(Host, st.integers(0, 8), st.floats(0, 0.3))


@given(fleets, demands, hosts)
def test_nothing_is_planned_that_is_not_admitted(fleet: dict[str, Kind], demand: Demand, host: Host) -> None:
    outlook = plan(fleet, demand, host)
    for use in outlook.devices:
        memory = fleet[use.device].memory
        granted = admit(memory, use.point.mode, use.point.workers, use.point.fraction)
        assert isinstance(granted, Granted)
        assert use.limit_mib == granted.limit_mib
        used_mib = use.point.workers * ((use.limit_mib or 0) + memory.overhead_mib) + memory.reserve_mib
        assert used_mib <= memory.free_mib
        assert use.limit_mib is not None or use.point.workers == 1


@given(fleets, demands, hosts)
def test_every_mosaic_is_placed_once_and_no_worker_does_more_than_it_can(
    fleet: dict[str, Kind], demand: Demand, host: Host
) -> None:
    outlook = plan(fleet, demand, host)
    assert sum(sum(use.mosaics) for use in outlook.devices) in (len(demand.mosaics), 0)
    assert bool(sum(sum(use.mosaics) for use in outlook.devices)) == bool(outlook.devices)
    assert [(rate.camera, rate.mosaic) for rate in outlook.cameras] == list(demand.cameras)
    answered_hz = {rate.mosaic: rate.expected_hz for rate in outlook.cameras}
    assert min(answered_hz.values()) == pytest.approx(outlook.slowest_hz)
    assert sum(answered_hz.values()) <= sum(use.point.mosaics_per_s for use in outlook.devices) * (1 + 1e-9)
    assert max(answered_hz.values()) <= demand.hz


@given(fleets, kinds, demands, hosts)
def test_one_more_device_slows_nothing_down(fleet: dict[str, Kind], another: Kind, demand: Demand, host: Host) -> None:
    more = plan({**fleet, "more": another}, demand, host)
    assert more.slowest_hz >= plan(fleet, demand, host).slowest_hz * (1 - 1e-9)


@given(kinds, demands, hosts)
def test_as_many_devices_as_are_needed_are_enough_and_one_fewer_is_not(one: Kind, demand: Demand, host: Host) -> None:
    [need] = plan({"d0": one}, demand, host).needs
    if need.devices is None:
        assert need.slowest_hz < demand.hz
        return
    assert plan(cards(one, need.devices), demand, host).is_met
    if need.devices > 1:
        assert not plan(cards(one, need.devices - 1), demand, host).is_met


@given(fleets, demands, hosts)
def test_the_same_input_gives_the_same_plan(fleet: dict[str, Kind], demand: Demand, host: Host) -> None:
    outlook: Outlook = plan(fleet, demand, host)
    assert outlook == plan(dict(fleet), Demand(tuple(demand.mosaics), demand.hz), host)


@given(fleets, demands, hosts)
def test_what_is_lost_is_no_faster(fleet: dict[str, Kind], demand: Demand, host: Host) -> None:
    outlook = plan(fleet, demand, host)
    assert [loss.device for loss in outlook.losses] == list(fleet)
    assert all(loss.slowest_hz <= outlook.slowest_hz * (1 + 1e-9) for loss in outlook.losses)
