"""A real RTSP server that plays footage and rendered scenes as cameras: `mosaicd simulate`, and the tests' instrument.

The way of a frame::

    file ─ demux ─► AccessUnit ─ footage (packetize, rtp) ─► Footage: packetized once, shared
                                                                │
    TCP client ◄─ InterleavedSink ◄─┐                           ▼
    UDP client ◄─ DatagramSink  ◄─ Playback (paces, patches) ◄─ Timeline (endless loop)

Core (pure): nal, packetize, jpeg, rtp, rtcp, footage, timeline, sdp, auth, messages, status, targets, transport,
ranges, camera, shares, errors. Shell: demux, sinks, playback, live, connection, sockets, door, server, thread, run;
over HTTP: multipart and mjpeg (cameras with JPEG footage), web (what control runs in).

The way of a fault (`faults` says which there are)::

    schedule (YAML) ─ perform ─┐
    control (HTTP) ────────────┼─► RtspServer.set_fault ─► Connection: 302, 401, 404, silence
    tests ─────────────────────┘          │                   │
                                Door: nobody listens          ▼
                                          Trouble, one a session ─► hang, close, drip
                                             │              │
          altered: another Timeline in the Playback     tamper: between Playback and Sink

Core: faults, schedule, names, altered, tamper, filler, silence. Shell: trouble, drip, shown, blank, perform, control. A
camera without a fault takes none of these ways.

`world` renders the scenes, with the truth about every frame; `train` (with `training`) makes the small model that comes
with mosaicd from them. `colours` writes cameras and a detector whose truth is known: the instrument of `mosaicd chaos`,
which runs it as a program, and of tests. Only demux, blank, colours and world.clip import av.

Nothing outside `mosaicd simulate` and the tests imports this package.
"""
