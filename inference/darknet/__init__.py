"""Darknet detectors: `.cfg` text and `.weights` bytes to a Keras 3 model.

cfg (text to sections) -> network (sections to layers with shapes) -> weights (bytes to arrays) -> build (Keras model).
The first three are pure; only `build` imports keras.
"""
