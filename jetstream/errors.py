"""The few exceptions users see: each is one clear sentence and knows its exit code.

Knows nothing else of the program; every layer may raise these, `cli` prints them without a traceback.
"""

import msgspec


class JetstreamError(Exception):
    """A failure with a sentence for the user: where, what, and what to do."""

    exit_code = 1


class UserError(JetstreamError):
    """Wrong usage: an option, a config value, or an input the user named."""

    exit_code = 2


class SourceError(JetstreamError):
    """A camera or file that can't be opened or read at run time."""


class StuckError(SourceError):
    """A camera's driver that hangs: only a new process helps."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class ModelError(JetstreamError):
    """A model that is missing, damaged, or not what was expected."""


class RingError(JetstreamError):
    """Shared memory that can't be had, or that isn't ours."""


class PipelineError(JetstreamError):
    """The pipeline can't go on: a stage keeps failing, or another instance is in the way."""


GARBLED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no message."""
