"""Darknet detectors: `.cfg` text and `.weights` bytes to a Keras 3 model.

cfg (text to sections) -> network, with readers, heads and limits (sections to layers with shapes) -> weights (bytes to
arrays) -> build, with convolution (Keras model). Only the last two import keras; the others are pure.
"""
