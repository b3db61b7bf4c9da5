"""`mosaicd chaos`: faults by chance against a daemon of its own, and whether what must always hold did hold.

    plan ──schedule──► run ──► strike: signals, full disk, camera faults; gremlin (in the children): all the rest
                        │
                        ├────► watch, look: /proc, /metrics, the log, sightings.jsonl ──► observations
                        └────► invariants: observations ──► violations ──► outcome: tables, verdict

Core (pure): kinds, plan, observations, invariants, outcome. Shell: gremlin, stage, strike, look, watch, run. Nothing of
the daemon knows of it: :mod:`daemon.chaos.gremlin` comes into a child through a sitecustomize of the test setup.
"""
