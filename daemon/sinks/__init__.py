"""Where sightings go: each sink writes from its own thread behind a bounded, counted queue."""
