"""A real RTSP server that plays footage and rendered scenes as cameras: `mosaicd simulate`, and the tests' instrument.

The way of a frame::

    file ─ demux ─► AccessUnit ─ footage (packetize, rtp) ─► Footage: packetized once, shared
                                                                │
    TCP client ◄─ InterleavedSink ◄─┐                           ▼
    UDP client ◄─ DatagramSink  ◄─ Playback (paces, patches) ◄─ Timeline (endless loop)

Core (pure): nal, packetize, rtp, rtcp, footage, timeline, sdp, auth, messages, status, targets, transport, ranges,
camera, shares, errors. Shell: demux, sinks, playback, live, connection, server, thread, run.

`world` renders the scenes, with the truth about every frame; `train` (with `training`) makes the small model that comes
with mosaicd from them. Only demux and world.clip import av.

Nothing outside `mosaicd simulate` and the tests imports this package.
"""
