"""How much arithmetic a network is, so that its speed can be held against what the machine could do.

Pure.
"""

from inference.darknet.layers import Network


def multiply_adds(network: Network) -> int:
    """Multiplications with an addition for one image: those of its convolutions.

    Everything else (activations, pooling, sums) is a few operations a value, about a hundredth of it.
    """
    return sum(layer.shape.height * layer.shape.width * layer.kernel_values for layer in network.convolutions)
