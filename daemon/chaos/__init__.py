"""`mosaicd chaos`: faults by chance against a daemon of its own, and whether what must always hold did hold.

    plan ──schedule──► run ──► strike: signals, full disk, camera faults; gremlin (in the children): all the rest
                        │
                        ├────► look: /proc, /metrics, the log, sightings.jsonl ──► observations
                        └────► invariants (pure): observations ──► violations ──► view: table, verdict

Core (pure): kinds, plan, invariants, judging, view. Shell: gremlin, stage, strike, look, run. Nothing of the daemon
knows of it: :mod:`daemon.chaos.gremlin` comes into a child through a sitecustomize that only the test setup has.
"""
