"""From sightings to events: what happened, kept, and told to whoever wants to know.

Imports go one way: ``capture`` <- ``inference`` <- ``events`` <- ``daemon``. Nothing here decodes or detects.
"""
