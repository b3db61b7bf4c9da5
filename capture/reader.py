"""A reader: the thread of one camera. Owns its source, decoder, backoff and stop; knows nothing of RTSP.

What others see (the newest tile, the state, the flaws) are frozen values, replaced whole by the reader's thread.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

from capture import camerastate
from capture.camerastate import CameraLife, Condition
from capture.decodepolicy import Alertness, DecodePolicy, PolicyOptions
from capture.decoder import Decoder, Frame, Tally
from capture.failures import SourceError, because
from capture.hardware import accelerator
from capture.messages import CameraCounts, CameraReport, CameraSpec
from capture.motion import MotionGate
from capture.ring import Ring
from capture.sampler import Sampler
from capture.scaler import Scaler
from capture.slot import Pixels
from capture.source import Source, SourceOptions
from capture.track import PacketRing, Track
from capture.transport import TransportChoice
from capture.watch import BitRate, Flaws, Frozen, explain
from capture.words import CameraState, Flaw, HwAccel, Reason

LOOK_S = 0.5
"""How often a stream is looked at for what no single frame shows."""
NOTICES = 8
SPARED_S = 15.0
"""A camera of which nothing could be used for so long is not merely spared decoding: longer than any wait of a policy
(:data:`capture.decodepolicy.BLIND_START_S`)."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The picture of one camera, scaled to its place in the mosaic."""

    number: int
    """Running number of this reader's tiles, from 1."""
    pixels: Pixels
    """uint8 RGB (h, w, 3), the letterbox's content only. Do not write."""
    source_wh: tuple[int, int]
    pts_s: float
    captured_at: float
    captured_mono_s: float
    is_moving: bool = True
    """Whether something moved in the picture."""


class CameraReader:
    """One camera's thread: connect, read, scale what is due, wait after a failure, again."""

    def __init__(self, spec: CameraSpec, options: SourceOptions, tile_wh: tuple[int, int], sampler: Sampler) -> None:
        self.spec = spec
        self.newest: Tile | None = None
        self.notices: deque[str] = deque(maxlen=NOTICES)
        """Lines for the log, taken out by who tells them."""
        self.ring: PacketRing | None = Ring(spec.ring_s, round(spec.ring_mib * 2**20)) if spec.ring_s > 0 else None
        """The last packets as they came, for clips and pictures, where the camera's spec asks for them."""
        self._options = options
        self._transport = TransportChoice(spec.transport)
        self._sampler = sampler
        self._scaler = Scaler(tile_wh)
        self._gate = MotionGate(spec.masks)
        self._frozen = Frozen(spec.frozen_s)
        self._flaws = Flaws()
        self._tally = Tally()
        self._policy = DecodePolicy(PolicyOptions())
        self._clock_ratio: float | None = None
        self._keys = 0
        self._motion_ratio = 0.0
        self._cpu_s = 0.0
        self._skipped_by_rate = 0
        self._failures: dict[Reason, int] = {}
        self._life = CameraLife()
        self._last_frame = (0.0, 0.0)
        """Monotonic and wall clock of the newest frame."""
        self._spared_s = 0.0
        """When a packet last came while not all are decoded; monotonic."""
        self._source_wh = (0, 0)
        self._stop = threading.Event()
        self._delay_s = 0.0
        self._thread = threading.Thread(target=mark(spec.name, self._run), name=f"reader {spec.name}")

    def start(self, delay_s: float = 0.0) -> None:
        """Start the thread, which connects after so long."""
        self._delay_s = delay_s
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does at the next packet, or when its read times out."""
        self._stop.set()
        if self.ring:
            self.ring.is_closed = True

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def live_tile(self, now_s: float, stale_s: float) -> Tile | None:
        """Return the newest tile unless it is too old, or of a picture that is frozen.

        One of a camera that sleeps is looked at again with the next key frame, and may be so much older.
        """
        tile = self.newest
        if tile is None or self._frozen.is_frozen:
            return None
        patience_s = 1.0 / self.spec.idle_fps if now_s - self._spared_s <= stale_s else 0.0
        return tile if now_s - tile.captured_mono_s <= stale_s + patience_s else None

    def condition(self, now_s: float, stale_s: float) -> Condition:
        """Return what a person should be told of this camera now."""
        last_seen_s = max(self._last_frame[0], self._spared_s)
        frozen_s = self.spec.frozen_s if self._frozen.is_frozen else None
        return camerastate.condition(self._life, last_seen_s, now_s, stale_s, frozen_s)

    @property
    def flaws(self) -> frozenset[Flaw]:
        """What is wrong with its stream, though it comes."""
        return self._flaws.told

    @property
    def source_wh(self) -> tuple[int, int]:
        """Size of the camera's picture; 0, 0 before the first."""
        return self._source_wh

    def explain(self, flaw: Flaw) -> str:
        """Return one line on a flaw."""
        return explain(flaw, self._policy.gop_s or 0.0, self._clock_ratio)

    def report(self, now_s: float, stale_s: float, superseded: int, still: int = 0) -> CameraReport:
        """Return this camera's statistics; ``superseded`` and ``still`` of its tiles came to no canvas."""
        condition = self.condition(now_s, stale_s)
        tally = self._tally
        return CameraReport(
            camera=self.spec.name,
            state=condition.state,
            reason=condition.reason,
            counts=CameraCounts(
                connects=tally.connects,
                packets=tally.packets,
                bytes=tally.bytes,
                frames=tally.frames,
                rate=self._skipped_by_rate,
                superseded=superseded,
                damaged=tally.damaged,
                undecoded=tally.undecoded,
                behind=tally.behind,
                still=still,
                jumps=tally.jumps,
                unkept=self.ring.dropped if self.ring else 0,
            ),
            failures=dict(self._failures),
            source_wh=self._source_wh,
            last_frame_at=self._last_frame[1],
            flaws=tuple(sorted(self._flaws.told)),
            is_asleep=self._policy.is_asleep,
            motion_ratio=self._motion_ratio,
            gop_s=self._policy.gop_s or 0.0,
            cpu_s=self._cpu_s,
            ring_bytes=self.ring.bytes if self.ring else 0,
            ring_s=self.ring.span_s() if self.ring else 0.0,
        )

    @property
    def _is_sparing(self) -> bool:
        """Whether frames come with key frames only."""
        return self._policy.is_resting or self._policy.alertness is Alertness.WAKING

    def _run(self) -> None:
        self._stop.wait(self._delay_s)
        if self.spec.hold_s > 0:
            held = because(Reason.CRASHED, self.spec.hold_s)
            self._life = CameraLife(CameraState.BACKOFF, held.reason, held.detail)
            self._stop.wait(self.spec.hold_s)
        while not self._stop.is_set():
            self._life = camerastate.connect(self._life)
            frames_before, delay_s = self._tally.frames, 0.0
            try:
                with Source(replace(self._options, transport=self._transport.now)) as source:
                    self._read(source)
            except SourceError as error:
                if self._transport.fail(error.reason, self._tally.frames - frames_before):
                    self.notices.append("nothing comes over UDP: asked for over TCP from now on")
                self._failures[error.reason] = self._failures.get(error.reason, 0) + 1
                self._life = camerastate.fail(self._life, error.reason, error.detail)
                # Jitter only spreads reconnects: no secret depends on it.
                delay_s = camerastate.retry_delay_s(self._life, random.random())
            self._flaws.clear()
            # Not while the error lives: its traceback holds the decoder with all its pictures.
            self._stop.wait(delay_s)
        self._life = camerastate.stop(self._life)

    def _read(self, source: Source) -> None:
        """Read one connection to its end."""
        spec, tally = self.spec, self._tally
        context = source.stream.codec_context
        if spec.hwaccel is not HwAccel.NONE and accelerator(spec.hwaccel) is None:
            self.notices.append(f"no hardware decoder ({spec.hwaccel}) here: decoded in software")
        options = PolicyOptions(
            spec.decode, spec.idle_fps, spec.quiet_s, spec.catch_up_frames, bool(context.codec.intra_only)
        )
        self._policy = DecodePolicy(options, self._policy.gops_s)
        decoder = Decoder(source.stream, self._policy, tally, self._sampler.would_take)
        bit_rate = BitRate()
        ring, track = self.ring, Track.of(source.stream) if self.ring else None
        packets_before, damaged_before, jumps_before, look_s = tally.packets, tally.damaged, tally.jumps, 0.0
        try:
            for arrival in source.arrivals(self._stop):
                now_s = arrival.stamp.arrived_s
                tally.connects += tally.packets == packets_before
                bit_rate.packet(arrival.packet.size, now_s)
                self._take_newest(decoder.feed(arrival), decoder)
                if ring and track:
                    # Captured when its picture was, as the decoder has it.
                    waited_s = decoder.backlog.waited_s(arrival.stamp.lag_s)
                    track.keep(arrival.packet, now_s - waited_s, now_s, ring)
                tally.jumps = jumps_before + source.pace.jumps
                if self._is_sparing and now_s - self._last_frame[0] <= SPARED_S:
                    self._spared_s = now_s
                if now_s < look_s:
                    continue
                look_s = now_s + LOOK_S
                self._look(source, decoder, bit_rate, now_s)
                if decoder.barren.is_barren(now_s, 3.0 * max(1.0 / spec.idle_fps, self._policy.gop_s or 0.0)):
                    raise SourceError(Reason.BROKEN, "nothing that comes can be decoded: has its codec changed?")
                if self._transport.is_lossy(tally.damaged - damaged_before, tally.packets - packets_before):
                    self.notices.append("too much is lost over UDP: asked for over TCP from now on")
                    return
        finally:
            self._take_newest(decoder.close(), decoder)

    def _look(self, source: Source, decoder: Decoder, bit_rate: BitRate, now_s: float) -> None:
        """Take note of what no single frame shows."""
        self._cpu_s = time.thread_time()
        self._clock_ratio = source.pace.clock_ratio
        self._flaws.set(Flaw.CLOCK, source.pace.is_clock_wrong, now_s)
        self._flaws.set(Flaw.FLOOD, bit_rate.is_flood, now_s)
        self._flaws.set(Flaw.LONG_GOP, decoder.policy.is_gop_too_long, now_s)
        self._flaws.set(Flaw.BEHIND, decoder.backlog.is_behind_often(now_s), now_s)

    def _take_newest(self, frames: Iterator[Frame], decoder: Decoder) -> None:
        """Take the last of frames that come at once: those before it, of packets that were kept, are of the past."""
        newest: Frame | None = None
        for frame in frames:
            self._keys += frame.is_key
            self._skipped_by_rate += newest is not None
            newest = frame
        if newest is not None:
            self._take(newest, decoder)

    def _take(self, frame: Frame, decoder: Decoder) -> None:
        stamp, picture = frame.stamp, frame.picture
        now_s = time.monotonic()
        captured_at = time.time() - (now_s - stamp.captured_s)
        self._last_frame = (stamp.captured_s, captured_at)
        self._life = camerastate.frame(self._life, now_s)
        if not self._sampler.is_due(now_s):
            self._skipped_by_rate += 1
            return
        size_wh = (picture.width, picture.height)
        if size_wh != self._source_wh and any(self._source_wh):
            self.notices.append(f"its picture is {size_wh[0]}x{size_wh[1]} now")
        self._source_wh = size_wh
        # Before any conversion: most of what is looked at for motion shows none.
        motion = self._gate.observe(self._scaler.luma(picture), stamp.arrived_s)
        self._motion_ratio = motion.score
        decoder.is_quiet = not motion.is_moving
        if motion.is_moving:
            decoder.policy.note_motion(stamp.arrived_s)
        self._frozen.observe(motion.is_identical, self._keys, now_s)
        self._flaws.see(motion.mean_luma, motion.contrast, now_s)
        self.newest = Tile(
            number=self.newest.number + 1 if self.newest else 1,
            pixels=self._scaler.tile(picture),
            source_wh=size_wh,
            pts_s=stamp.pts_s,
            captured_at=captured_at,
            captured_mono_s=stamp.captured_s,
            is_moving=motion.is_moving or motion.is_fresh,
        )


def mark(camera: str, run: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does the same and is called ``reader CAMERA``.

    A crash report names nothing of a thread but its functions, so that is where it has to stand (:mod:`daemon.blame`).
    """

    def marked() -> None:
        run()

    marked.__code__ = marked.__code__.replace(co_name=f"reader {camera}")
    return marked


def sampler_for(spec: CameraSpec, mosaic_fps: float, phase_s: float) -> Sampler:
    """Return the sampler of a camera: a whole number of its mosaic's ticks apart, at most ``spec.fps`` a second."""
    every = max(1, ceil(mosaic_fps / spec.fps - 1e-9))
    return Sampler(every / mosaic_fps, phase_s)
