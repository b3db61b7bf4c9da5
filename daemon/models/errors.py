"""What can go wrong with stored models. Every message names the remedy, so that it can be shown as it is. Pure."""

from pathlib import Path


class ModelsError(Exception):
    """Base of all that a person reads about models: what is the matter, and what they can do."""


class UnknownModelError(ModelsError):
    """No model of this name is offered or stored."""


class NotInstalledError(ModelsError):
    """The model is not in the store, or not in full."""


class NameRefusedError(ModelsError):
    """A model cannot be stored under this name."""


class FilesRefusedError(ModelsError):
    """Files that make no model together."""


class BusyError(ModelsError):
    """Another process is storing a model under this name."""


class StoreError(ModelsError):
    """The store cannot be read or written: a folder that is missing or forbidden, a disk that fails."""


class NoSpaceError(StoreError):
    """The disk is full, or would be."""

    def __init__(self, path: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{path}: {shown_mib(needed_bytes)} more are needed, {shown_mib(free_bytes)} are free. "
            "Make room and run it again"
        )
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class DownloadError(ModelsError):
    """The server could not be reached, or gave something else, or stopped; what has come is kept."""


class UnreachableError(DownloadError):
    """There is no way to the server: this machine may have no Internet at all."""


class DigestError(ModelsError):
    """The bytes are not those that the catalog promises; they have been deleted."""

    def __init__(self, url: str, algorithm: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{url}: the file's {algorithm} is {actual}, not {expected}, so it was deleted. Run it again; if that does "
            "not help, the address serves another file now: get the right one and use `mosaicd models add`"
        )
        self.expected = expected
        self.actual = actual


def shown_mib(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / (1 << 20):.1f} MiB"
