"""From sightings to what a person wants to know: tracks of objects, a camera at a time.

Pure, and fed from outside: a `tracker.Tracker` for each camera, in whatever thread or process its owner likes.
"""
