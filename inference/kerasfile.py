"""Weights in a `.keras` file: of a network of ours that was trained further in Keras and saved again.

The cfg still says what the network is; from the file only numbers are taken, and they must fit. It is a stranger's
file: it is looked at as an archive first, and its description of a model is never read, so that nothing in it can be
run or built; Keras's `safe_mode` would build whatever it describes.
"""

import math
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


def load_weights(path: Path, model: Any) -> None:
    """Puts the file's numbers into `model`, a Keras model of the same network.

    Only the file's HDF5 member is read, never its description of a model, which Keras would build whatever it says.
    Raises KerasFileError. After `check_keras_file`.
    """
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                content = Path(archive.extract(_WEIGHTS, folder))
            with h5py.File(content) as file:
                size = _array_bytes(path, file)
            most = _OPTIMIZER * sum(4 * math.prod(weight.shape) for weight in model.weights) + _SPARE_BYTES
            if size > most:
                raise KerasFileError(path, f"its arrays are {size} bytes, its cfg wants {most} at most")
            model.load_weights(content)
        except KerasFileError:
            raise
        except Exception as error:  # Keras and HDF5 let whatever a broken file causes pass through
            reason = " ".join(str(error).split())[:300]
            raise KerasFileError(path, f"Keras does not load it: {type(error).__name__}: {reason}") from error


def _array_bytes(path: Path, file: Any) -> int:
    """How much memory an HDF5 file's arrays take. Raises KerasFileError for any that are not as Keras stores them.

    Keras stores numbers whole. Pieces ("chunks") are unpacked one by one, each of which may be larger than its array,
    and a packed one larger than it says; what lies outside is another file of this machine; text may be one long word
    a million times.
    """
    import h5py

    sizes: list[int] = []

    def look(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.chunks or item.external or item.is_virtual or item.dtype.kind not in "biuf":
            raise KerasFileError(path, f"its array {name[:100]} is not stored as Keras does: save it with Keras again")
        sizes.append(item.nbytes)

    file.visititems(look)
    return sum(sizes)
