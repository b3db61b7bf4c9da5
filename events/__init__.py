"""From sightings to what a person wants to know, a camera at a time.

    sightings ─► tracker.Tracker ─► TrackUpdate ─► rules.Rules, speed.SpeedMeter ─► what happened

Pure, and fed from outside, in whatever thread or process the owner likes.
"""
