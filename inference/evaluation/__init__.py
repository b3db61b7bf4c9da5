"""Measuring a detector: how accurate it is on pictures with ground truth, and how fast it runs.

The core is pure (matching, average precision, bootstrap, geometry, counting); `child` is the one module that loads an
engine, in a process of its own for each combination; `accuracy` and `speed` run such children one after the other.
"""
