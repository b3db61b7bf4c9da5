"""What the machine can do at best: large square matrices, multiplied by TensorFlow (oneDNN on a CPU, cuBLAS on a GPU).

The product of two 2048x2048 matrices is 17 billion operations on 48 MB, so it waits for arithmetic and not for memory,
and a library's matrix product is the best known use of that (Goto and van de Geijn 2008, Anatomy of High-Performance
Matrix Multiplication). Imports tensorflow.
"""

import time
from typing import Final

import tensorflow as tf

from inference.evaluation.messages import Multiply

SIDE: Final = 2048
"""Rows and columns."""


def operations_per_s(order: Multiply) -> float:
    """Of the fastest multiplication within the time given, at least three; a multiply-add is two operations.

    The number of threads holds for the process, so all orders to one process name the same.
    """
    tf.config.threading.set_intra_op_parallelism_threads(order.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if order.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    dtype = tf.dtypes.as_dtype(order.precision)
    one, other = (tf.cast(tf.random.stateless_uniform((SIDE, SIDE), (seed, 0)), dtype) for seed in (1, 2))

    def multiply_s() -> float:
        began = time.perf_counter()
        # Reading one number waits for all of them, on a GPU too.
        tf.linalg.matmul(one, other)[0, 0].numpy()
        return time.perf_counter() - began

    multiply_s()
    best_s, spent_s, calls = float("inf"), 0.0, 0
    while calls < 3 or spent_s < order.seconds:
        took_s = multiply_s()
        best_s, spent_s, calls = min(best_s, took_s), spent_s + took_s, calls + 1
    return 2 * SIDE**3 / best_s
