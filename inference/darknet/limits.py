"""How large a network may be, judged from its layers alone.

A cfg is hostile input: a few lines of it can ask for more memory, time or Keras layers than any machine has. The limits
leave every published detector room at 1920x1088, most of them several times over.
Pure.
"""

from typing import Final

from inference.darknet.cfg import CfgError
from inference.darknet.layers import INPUT, Convolution, Head, LocalAvgPool, MaxPool, Network, sources_of

MAX_CHANNELS: Final = 1 << 16
MAX_INPUT: Final = 8192
MAX_STRIDE: Final = 1024
MAX_WEIGHTS: Final = 1 << 28
"""Numbers in all convolutions as built: 1 GiB. YOLOv4-P6 has 2^27."""
MAX_MAP_VALUES: Final = 1 << 29
"""Numbers in all the maps that have to be kept at one time for an image: 2 GiB."""
MAX_OPERATIONS: Final = 1 << 41
"""Multiplications and additions for an image, each pair counted once: YOLOv3 takes 2^36 at 608x608."""
MAX_PARTS: Final = 2048
"""Plain convolutions that grouped ones are built of."""


def check_limits(network: Network) -> None:
    """Raises CfgError at the layer with which the network becomes larger than the limits."""
    last_use = {source: layer.index for layer in network.layers for source in sources_of(layer)}
    kept = {INPUT: network.input_shape.values}
    values, weights, operations, parts = kept[INPUT], 0, 0, 0
    for layer in network.layers:
        kept[layer.index] = layer.shape.values
        values += layer.shape.values
        operations += layer.shape.values
        if isinstance(layer, Convolution):
            # Zeros between the groups of a part are stored and multiplied as well.
            built = layer.kernel_values * (1 if layer.is_depthwise else layer.groups // layer.parts)
            weights += layer.values - layer.kernel_values + built
            operations += layer.shape.height * layer.shape.width * built
            parts += layer.parts if layer.groups > 1 else 0
        elif isinstance(layer, MaxPool | LocalAvgPool):
            operations += layer.shape.values * layer.window.size**2
        for what, amount, limit in (
            ("numbers in convolutions", weights, MAX_WEIGHTS),
            ("numbers in maps", values, MAX_MAP_VALUES),
            ("operations", operations, MAX_OPERATIONS),
            ("parts of grouped convolutions", parts, MAX_PARTS),
        ):
            if amount > limit:
                message = f"with layer {layer.index} the network has {amount} {what}, {limit} are supported"
                raise CfgError(network.path, layer.line, message)
        done = [source for source in sources_of(layer) if last_use[source] == layer.index]
        if layer.index not in last_use and not isinstance(layer, Head):
            done.append(layer.index)
        values -= sum(kept.pop(source, 0) for source in done)
