"""Cameras to mosaics, and the nouns that every process shares.

Imports go one way: ``capture`` <- ``inference`` <- ``daemon``. Only ``source`` and ``reader`` import ``av``;
what does not import those is safe to import anywhere.
"""
