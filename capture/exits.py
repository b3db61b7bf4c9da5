"""Exit codes shared by the supervisor and its children. Pure.

The values from sysexits.h(3) are used where one fits, so that ``systemctl status`` reads well.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a process of mosaicd ended by itself."""

    OK = 0
    """Asked to stop, and did."""
    FAILURE = 1
    """Something in the surroundings failed: port in use, state folder not writable."""
    USAGE = 2
    """The command line is wrong."""
    ORPHANED = 64
    """The supervisor is gone."""
    BROKEN = 70
    """A bug: an exception that nobody expected (EX_SOFTWARE)."""
    OUT_OF_MEMORY = 71
    """The framework or the process ran out of memory; only an exit gives it back."""
    DEVICE = 72
    """The device could not be taken."""
    MODEL = 73
    """The model can never work: missing, malformed, or of another cfg. Never retried."""
    QUOTA = 75
    """Its memory quota is nearly used up, so it left in good order, all answered; only an exit gives it back
    (EX_TEMPFAIL: to be tried again)."""
    CONFIG = 78
    """Settings or roster are wrong (EX_CONFIG). Never retried by systemd."""
