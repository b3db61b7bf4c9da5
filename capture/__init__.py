"""Cameras to mosaics, and the nouns that every process shares.

Imports go one way: ``capture`` <- ``inference`` <- ``daemon``. Only ``source``, ``reader``, ``compositor`` and
``process`` may import ``av``; everything else here is safe to import anywhere.
"""
