"""The exceptions that users see: each holds one sentence and has an exit code.

Every layer may raise these; `cli` prints them without a traceback. Their text is masked, whatever was put into it.
"""

import msgspec

from jetstream.masking import masked


class JetstreamError(Exception):
    """A failure with a sentence for the user: where, what, and what to do."""

    exit_code = 1

    def __str__(self) -> str:
        return masked(super().__str__())


class UserError(JetstreamError):
    """Wrong usage: an option, a config value, or an input that the user named."""

    exit_code = 2


class BusyError(UserError):
    """What the user named is in use by another program, perhaps another jetstream."""


class SourceError(JetstreamError):
    """A camera or file that can't be opened or read at run time."""


class StuckError(SourceError):
    """A camera whose driver hangs: only a new process helps."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class ModelError(JetstreamError):
    """A model that is missing, damaged, or not the expected one."""


class RingError(JetstreamError):
    """Shared memory that can't be reserved or opened, or that is no frame ring of this user."""


class PipelineError(JetstreamError):
    """The pipeline can't run on: a stage keeps failing, or another instance uses the same folder."""


GARBLED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions that msgspec raises for bytes that are no valid message."""
