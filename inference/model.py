"""Reads the files of a detector, whatever engine is to run it; wraps every way they can be wrong into ModelUnusable.

Knows no framework (`keras_model` loads one). The one place that turns the readers' errors into what a worker reports.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inference.darknet.cfg import CfgError, read_cfg
from inference.darknet.layers import Network
from inference.darknet.network import InputSizeError, resolve_network
from inference.darknet.weights import DarknetWeights, WeightsError, check_size, read_weights, zero_weights
from inference.engine import ModelFiles, ModelUnusable
from inference.kerasfile import KerasFileError, check_keras_file, is_keras_file, load_weights
from inference.labels import LabelsError, read_labels

_KERAS_REMEDY: Final = "Give the .keras file that was saved from the model of this cfg"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A detector, read and checked: the network at its input size, its weights, a label for each class."""

    network: Network
    weights: DarknetWeights
    labels: tuple[str, ...]
    keras_file: Path | None = None
    """Where the weights really are, if in a `.keras` file; `weights` are zeros then."""


def keras_model(model: Model) -> Any:
    """The model in Keras, of whatever backend it runs on, with its weights. Raises ModelUnusable."""
    from inference.darknet.build import build_model

    built = build_model(model.network, model.weights)
    if model.keras_file is not None:
        try:
            load_weights(model.keras_file, built)
        except KerasFileError as error:
            raise ModelUnusable(f"{error}. {_KERAS_REMEDY}") from error
    return built


def inspect_model(files: ModelFiles, input_wh: tuple[int, int] | None) -> tuple[Network, tuple[str, ...]]:
    """Network and labels, after all that can be judged with a look: cfg, names, and the length of the weights.

    `input_wh` as in `resolve_network`. Raises ModelUnusable.
    """
    with _judged(files):
        network = resolve_network(read_cfg(files.cfg), input_wh)
        classes = network.heads[0].classes
        labels = read_labels(files.names, classes)
        for head in network.heads:
            if head.classes != classes:
                message = f"[yolo] has {head.classes} classes, the first [yolo] has {classes}"
                raise CfgError(files.cfg, head.line, message)
        if is_keras_file(files.weights):
            check_keras_file(files.weights, network)
        else:
            check_size(files.weights, network)
    return network, labels


def read_model(files: ModelFiles, input_wh: tuple[int, int] | None) -> Model:
    """Reads cfg, names and weights, the cheap ones first. `input_wh` as in `resolve_network`.

    Raises ModelUnusable.
    """
    network, labels = inspect_model(files, input_wh)
    with _judged(files):
        if is_keras_file(files.weights):
            return Model(network, zero_weights(network), labels, files.weights)
        return Model(network, read_weights(files.weights, network), labels)


@contextmanager
def _judged(files: ModelFiles) -> Iterator[None]:
    try:
        yield
    except CfgError as error:
        raise ModelUnusable(f"{error}. Give a cfg that this version supports") from error
    except InputSizeError as error:
        raise ModelUnusable(f"{files.cfg}: {error}. Change the canvas or the tile size") from error
    except WeightsError as error:
        raise ModelUnusable(f"{error}. Give the weights that belong to the cfg, fetched in full") from error
    except KerasFileError as error:
        raise ModelUnusable(f"{error}. {_KERAS_REMEDY}") from error
    except LabelsError as error:
        raise ModelUnusable(f"{error}. Give the names that the weights were trained with") from error
    except OSError as error:
        raise ModelUnusable(f"{error.filename}: {error.strerror}. Check path and permissions") from error
