"""The decode policy by tables; then what must hold of any stream: no packet is decoded without what it refers to."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.decodepolicy import BLIND_START_S, SLACK, Alertness, DecodePolicy, PolicyOptions, Verb
from capture.words import DecodeMode

FPS = 25
SECOND = "K" + "." * (FPS - 1)
"""A second of a stream whose key frames are a second apart."""
VERBS = {Verb.DECODE: "D", Verb.KEEP: "k", Verb.DROP: "-"}


@dataclass
class Stream:
    """Feeds a policy packets at 25 a second; ``K`` is a key frame, any other letter is none."""

    policy: DecodePolicy
    at_s: float = 1000.0
    is_due: bool = True

    def play(self, packets: str) -> str:
        """What is done with each: D(ecoded), k(ept) or - (dropped)."""
        return "".join(self._play(packet) for packet in packets)

    def _play(self, packet: str) -> str:
        self.at_s += 1 / FPS
        return VERBS[self.policy.packet(packet == "K", self.is_due, self.at_s)]

    def move(self) -> None:
        self.policy.note_motion(self.at_s)


def stream(mode: DecodeMode = DecodeMode.ADAPTIVE, **options) -> Stream:
    return Stream(DecodePolicy(PolicyOptions(mode, **options)))


def test_it_sleeps_from_the_start_and_decodes_key_frames_alone() -> None:
    camera = stream(catch_up_frames=5)
    assert camera.policy.is_asleep
    assert camera.play("..K.......K...") == "--Dkkkkk--Dkkk"
    assert camera.policy.is_asleep


@pytest.mark.parametrize("catch_up", [0, 1, 5, 25])
def test_so_many_packets_are_kept_after_a_key_frame_and_no_more(catch_up: int) -> None:
    camera = stream(catch_up_frames=catch_up)
    assert camera.play("K" + "." * 30) == "D" + "k" * catch_up + "-" * (30 - catch_up)


def test_motion_while_the_chain_is_whole_goes_on_from_what_was_kept() -> None:
    camera = stream(catch_up_frames=5)
    assert camera.play("K.....") == "Dkkkkk"
    camera.move()
    assert camera.policy.alertness is Alertness.AWAKE
    assert camera.play("...K.") == "DDDDD"


def test_motion_after_the_chain_broke_waits_for_a_key_frame() -> None:
    camera = stream(catch_up_frames=5)
    assert camera.play("K......") == "Dkkkkk-"
    camera.move()
    assert camera.policy.alertness is Alertness.WAKING
    assert camera.play("...") == "---"
    assert camera.policy.alertness is Alertness.WAKING
    assert camera.play("K..") == "DDD"
    assert camera.policy.alertness is Alertness.AWAKE


def test_motion_before_the_first_key_frame_waits_for_it() -> None:
    camera = stream()
    camera.move()
    assert camera.play("..K.") == "--DD"


def test_it_falls_asleep_after_the_quiet_time_and_not_before() -> None:
    camera = stream(quiet_s=2.0)
    camera.play(SECOND)
    camera.move()
    assert camera.play(2 * SECOND)[:-1] == "D" * (2 * FPS - 1)
    assert camera.play("K.") == "Dk"
    assert camera.policy.is_asleep


def test_between_two_key_frames_it_falls_asleep_with_the_chain_whole() -> None:
    camera = stream(quiet_s=4.5 / FPS)
    camera.play("K")
    camera.move()
    assert camera.play("." * 8) == "DDDDkkkk"
    camera.move()
    assert camera.play("..") == "DD"


def test_motion_keeps_it_awake() -> None:
    camera = stream(quiet_s=0.5)
    camera.play("K")
    for _ in range(10):
        camera.move()
        assert set(camera.play("." * 10)) == {"D"}


def gop(seconds: float) -> str:
    return "K" + "." * (round(seconds * FPS) - 1)


@pytest.mark.parametrize(("seconds", "is_too_long"), [(1.0, False), (1.0 * SLACK, False), (1.0 * SLACK + 0.2, True)])
def test_which_gop_is_too_long(seconds: float, is_too_long: bool) -> None:
    camera = stream(idle_fps=1.0)
    camera.play(gop(seconds) + "K")
    assert camera.policy.gop_s == pytest.approx(round(seconds * FPS) / FPS)
    assert camera.policy.is_gop_too_long is is_too_long


def test_a_long_gop_never_sleeps_and_short_ones_make_it_sleep_again() -> None:
    camera = stream(idle_fps=1.0, quiet_s=0.4, catch_up_frames=5)
    camera.play(gop(2.0))
    assert camera.policy.gop_s is None
    assert set(camera.play(5 * gop(2.0))) == {"D"}
    assert camera.policy.is_gop_too_long
    # One long interval is among the last three until the fourth short key frame.
    assert set(camera.play(3 * gop(0.8))) == {"D"}
    assert camera.policy.is_gop_too_long
    assert camera.play(gop(0.8)) == "D" + 5 * "k" + "-" * 14
    assert not camera.policy.is_gop_too_long


def test_a_first_gop_that_is_too_long_is_not_slept_through() -> None:
    """Nothing is known of the interval yet; but its first key frame has been too long ago."""
    camera = stream(idle_fps=1.0, catch_up_frames=100)
    assert camera.play("K" + "." * 40) == "D" + 31 * "k" + 9 * "D"
    short = stream(idle_fps=1.0, catch_up_frames=10)
    assert short.play("K" + "." * 40 + "K.") == "D" + 10 * "k" + 30 * "-" + "DD"


def test_what_was_learned_of_key_frames_holds_for_the_next_connection() -> None:
    before = stream(idle_fps=1.0)
    before.play(2 * gop(4.0) + "K")
    again = Stream(DecodePolicy(before.policy.options, before.policy.gops_s))
    assert again.policy.is_gop_too_long
    assert set(again.play(gop(4.0))) == {"D"}
    again.play(3 * gop(0.8) + "K")  # the camera was set otherwise meanwhile
    assert not again.policy.is_gop_too_long


def test_awake_it_does_not_fall_asleep_where_the_next_key_frame_is_overdue() -> None:
    camera = stream(idle_fps=1.0, quiet_s=2.0)
    camera.play("K")
    camera.move()
    assert set(camera.play("." * 10 * FPS)) == {"D"}


@pytest.mark.parametrize("quiet_s", [0.5, 5.0, 60.0])
def test_a_stream_without_key_frames_is_decoded_after_a_while_and_from_then_on(quiet_s: float) -> None:
    camera = stream(quiet_s=quiet_s)
    played = camera.play("." * 60 * FPS)
    blind = played.index("D")
    limit_s = SLACK / camera.policy.options.idle_fps
    assert BLIND_START_S * FPS < blind <= (BLIND_START_S + limit_s) * FPS + 4
    assert played == "-" * blind + "D" * (len(played) - blind)


def test_a_key_frame_after_a_blind_start_is_lived_by() -> None:
    camera = stream(quiet_s=1.0, catch_up_frames=3)
    assert camera.play("." * 30 * FPS)[-1] == "D"
    assert camera.play(4 * SECOND)[-FPS:] == "Dkkk" + "-" * 21


@pytest.mark.parametrize(
    ("mode", "verbs"),
    [
        (DecodeMode.ALL, "DDDDDD"),
        (DecodeMode.NO_NONREF, "DDDDDD"),
        (DecodeMode.KEYFRAMES, "-D--D-"),
    ],
)
def test_the_other_modes_know_no_motion(mode: DecodeMode, verbs: str) -> None:
    camera = stream(mode)
    for _ in range(2):
        assert camera.play(".K..K.") == verbs
        assert (camera.policy.is_asleep, camera.policy.is_adaptive) == (False, False)
        camera.move()
        camera.policy.lose()
    assert camera.policy.is_resting is (mode is DecodeMode.KEYFRAMES)
    assert not camera.policy.is_gop_too_long


@pytest.mark.parametrize("mode", DecodeMode)
def test_of_frames_that_stand_alone_only_those_due_are_decoded(mode: DecodeMode) -> None:
    camera = stream(mode, is_intra_only=True, quiet_s=60.0)
    camera.play("K")
    camera.move()
    assert camera.policy.alertness is Alertness.AWAKE
    for camera.is_due in (True, False, False, True):
        assert camera.play("K") == ("D" if camera.is_due else "-")


def test_asleep_frames_that_stand_alone_are_decoded_slowly() -> None:
    camera = stream(is_intra_only=True, idle_fps=0.5, quiet_s=1.0)
    played = camera.play("K" * 10 * FPS)
    assert played.count("D") == 10, "twice as often as idle_fps asks, so that jitter cannot halve it"
    camera.move()
    assert set(camera.play("K" * (FPS - 1))) == {"D"}
    assert camera.play("K" * FPS).count("D") == 1


@pytest.mark.parametrize(
    ("before", "alertness", "after"),
    [
        ("K..", Alertness.ASLEEP, "--K..:--Dkk"),  # what was kept is of no use
        ("K..!", Alertness.WAKING, "..K..:--DDD"),
        ("K..!..", Alertness.WAKING, "K..:DDD"),
        ("..!", Alertness.WAKING, "..K:--D"),
    ],
)
def test_after_a_loss_only_a_key_frame_can_be_started_with(before: str, alertness: Alertness, after: str) -> None:
    """``!`` is motion; what is lost is lost after ``before``."""
    camera = stream()
    for part in before.partition("!"):
        if part == "!":
            camera.move()
        else:
            camera.play(part)
    camera.policy.lose()
    assert camera.policy.alertness is alertness
    packets, _, verbs = after.partition(":")
    assert camera.play(packets) == verbs


def test_motion_after_a_loss_is_not_answered_from_a_broken_chain() -> None:
    camera = stream()
    camera.play("K..")
    camera.policy.lose()
    camera.move()
    assert camera.play(".K.") == "-DD"


# --- whatever comes ---------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What a decoder would have been given, and what it would have needed."""

    number: int = 0
    newest_key: int | None = None
    given: set[int] = field(default_factory=set)
    kept: list[int] = field(default_factory=list)
    lost: int = -1
    """The last packet before the newest gap."""

    def take(self, is_key: bool, verb: Verb) -> bool:
        """Do with the next packet what was said; return whether a decoder could use all that it was given."""
        number, self.number = self.number, self.number + 1
        if is_key:
            self.newest_key = number
        match verb:
            case Verb.DROP:
                self.kept = []
            case Verb.KEEP:
                self.kept.append(number)
            case Verb.DECODE:
                self.given.update([number] if is_key else [*self.kept, number])
                self.kept = []
                if is_key:
                    return True
                key = self.newest_key
                return key is not None and self.lost < key and self.given.issuperset(range(key, number))
        return True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["packet"] * 12 + ["key", "motion", "lose"]),
        st.sampled_from([0.0, 0.04, 0.04, 0.2, 1.0, 6.0]),
        st.integers(1, 30),
    ),
    max_size=60,
)


@given(
    steps=STEPS,
    catch_up=st.integers(0, 30),
    quiet_s=st.sampled_from([0.0, 0.5, 5.0]),
    idle_fps=st.sampled_from([0.1, 0.5, 5.0]),
    mode=st.sampled_from([DecodeMode.ADAPTIVE, DecodeMode.KEYFRAMES]),
)
def test_no_packet_is_decoded_without_what_it_refers_to(steps, catch_up, quiet_s, idle_fps, mode) -> None:
    policy = DecodePolicy(PolicyOptions(mode, idle_fps, quiet_s, catch_up))
    model, now_s, key_s = Model(), 1000.0, 1000.0
    for what, step_s, times in steps:
        if what == "motion":
            policy.note_motion(now_s)
        elif what == "lose":
            policy.lose()
            model.lost, model.kept = model.number - 1, []
        else:
            for _ in range(times if what == "packet" else 1):
                now_s += step_s
                is_key = what == "key"
                key_s = now_s if is_key else key_s
                verb = policy.packet(is_key, True, now_s)
                assert model.take(is_key, verb) or now_s - key_s > BLIND_START_S
                assert len(model.kept) <= catch_up
                assert verb is Verb.DECODE or not is_key


@given(
    moves=st.sets(st.integers(0, 400)),
    quiet_s=st.floats(0.1, 3.0),
    gop_s=st.sampled_from([0.4, 1.0, 2.0]),
)
def test_whatever_moves_is_decoded_until_it_has_been_quiet(moves: set[int], quiet_s: float, gop_s: float) -> None:
    """From the next key frame after a motion on, at the latest, every packet for ``quiet_s``."""
    camera = stream(quiet_s=quiet_s)
    packets = (gop(gop_s) * 50)[:400]
    moved_s, can_start = None, False
    for number, packet in enumerate(packets):
        if number in moves:
            camera.move()
            moved_s, can_start = camera.at_s, can_start and moved_s is not None
        can_start = can_start or packet == "K"
        verb = camera.play(packet)
        if moved_s is not None and camera.at_s - moved_s < quiet_s - 1e-9:
            assert verb == "D" or not can_start
        else:
            moved_s, can_start = None, False
