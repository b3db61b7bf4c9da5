"""From sightings to events: what happened, kept, and told to whoever wants to know.

    sightings ─► tracker.Tracker ─► rules.Rules, speed.SpeedMeter ─► life.Lives ─► writer.EventWriter ─► store, sinks

Up to the writer all is pure. Imports go one way, ``capture`` <- ``events`` <- ``daemon``; nothing here decodes or
detects.
"""
