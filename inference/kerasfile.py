"""Weights in a `.keras` file: of a network of ours that was trained further in Keras and saved again.

The cfg still says what the network is; from the file only numbers are taken, and they must fit it one by one. It is a
stranger's file: it is looked at as an archive first, and loaded with `safe_mode` alone, which runs no code from it.
Only `load_weights` imports keras.
"""

import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

from inference.darknet.layers import Network, Shortcut

_MAGIC: Final = b"PK\3\4"
"""What a zip archive begins with (APPNOTE.TXT, 4.3.7); Darknet's files begin with their version, 0."""
_WEIGHTS: Final = "model.weights.h5"
_MEMBERS: Final = frozenset({"config.json", "metadata.json", _WEIGHTS})
_SPARE_BYTES: Final = 32 << 20
"""What an archive may unpack to beyond its numbers: description, and HDF5's own."""
_OPTIMIZER: Final = 3
"""Adam keeps two more numbers for each weight."""


class KerasFileError(Exception):
    """A `.keras` file that cannot be used with this cfg; the message names the file."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def is_keras_file(path: Path) -> bool:
    """Whether it is an archive; its name does not matter. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def check_keras_file(path: Path, network: Network) -> None:
    """Raises KerasFileError unless it is an archive of the right members and of a size that fits the network.

    Reads its table of contents only. Raises OSError where it cannot be read.
    """
    if any(isinstance(layer, Shortcut) for layer in network.weighted):
        raise KerasFileError(path, "a network with weighted shortcuts keeps those in .weights files only")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member.file_size for member in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise KerasFileError(path, f"not a .keras file: {error}") from error
    if missing := _MEMBERS - members.keys():
        raise KerasFileError(path, f"not a .keras file of Keras 3: it has no {min(missing)}")
    most = _OPTIMIZER * 4 * sum(layer.values for layer in network.weighted) + _SPARE_BYTES
    if sum(members.values()) > most:
        raise KerasFileError(path, f"it unpacks to {sum(members.values())} bytes, its cfg wants {most} at most")


def load_weights(path: Path, shapes: list[tuple[int, ...]]) -> list[Any]:
    """The file's arrays, float32, in the order of the model's weights, which have these shapes.

    Raises KerasFileError. After `check_keras_file`.
    """
    import keras

    try:
        with tempfile.TemporaryDirectory() as folder:
            named = Path(folder) / "model.keras"  # Keras goes by the name
            named.symlink_to(path.absolute())
            loaded: list[Any] = keras.saving.load_model(named, compile=False, safe_mode=True).get_weights()
    except Exception as error:  # Keras lets whatever a broken archive causes pass through
        reason = " ".join(str(error).split())[:300]
        raise KerasFileError(path, f"Keras does not load it: {type(error).__name__}: {reason}") from error
    found = [tuple(array.shape) for array in loaded]
    for index, (have, want) in enumerate(zip(found, shapes, strict=False)):
        if have != want:
            raise KerasFileError(path, f"its weight {index} is {have}, the cfg's is {want}")
    if len(found) != len(shapes):
        raise KerasFileError(path, f"it has {len(found)} weights, the cfg's network has {len(shapes)}")
    return loaded
