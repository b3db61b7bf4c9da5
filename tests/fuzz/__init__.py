"""A hostile camera against the real pipeline: ``python -m tests.fuzz.run``."""
