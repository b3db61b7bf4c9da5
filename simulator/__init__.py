"""A real RTSP server that plays video files as cameras: `mosaicd simulate`, and the main instrument of the tests.

The way of a frame::

    file ─ demux ─► AccessUnit ─ footage (packetize, rtp) ─► Footage: packetized once, shared
                                                                │
    TCP client ◄─ InterleavedSink ◄─┐                           ▼
    UDP client ◄─ DatagramSink  ◄─ Playback (paces, patches) ◄─ Timeline (endless loop)

Core (pure): nal, packetize, rtp, rtcp, footage, timeline, sdp, auth, messages, status, targets, transport, ranges,
camera, shares, errors. Shell: demux (the one that imports av), sinks, playback, live, connection, server, thread, run.

Nothing outside `mosaicd simulate` and the tests imports this package.
"""
