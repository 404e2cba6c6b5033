"""Why a source can't be opened or read, in words, and what to do; without the address, which may hold a password.

Opens nothing.
"""

import errno

import av

NO_VIDEO = "not a video that can be read; name a video, a folder of images, a camera or an address"


def file_trouble(error: Exception) -> str:
    if isinstance(error, (av.error.InvalidDataError, av.error.EOFError)):
        return f"damaged, cut off before its index was written, or {NO_VIDEO}"
    if isinstance(error, PermissionError):
        return "no permission to read it; change its mode or owner"
    return f"can't be read ({reason_of(error)}); check the file"


def network_trouble(error: Exception, timeout_s: float, *, late: bool) -> str:
    """The reason for a stream's failure and what to do, without the address.

    `late`: the time-out had passed. FFmpeg's error after its time-out depends on where it was interrupted.
    """
    if late or isinstance(error, (av.error.ExitError, TimeoutError)):
        return silence(timeout_s)
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused; check the address and the port"
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return "access is denied; check the user name and the password in the address"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "there is no such stream; check the path in the address"
    if getattr(error, "errno", None) == errno.EPROTONOSUPPORT:
        return "it refuses TCP and UDP; check its streaming settings"
    if isinstance(error, (av.error.InvalidDataError, av.error.EOFError)):
        return "what it sends is no video that can be read; check the path in the address"
    return f"can't be opened ({reason_of(error)}); check the address and the network"


def silence(timeout_s: float) -> str:
    return f"no answer within {timeout_s:g} s; check the address and that the device is on"


def no_picture(timeout_s: float) -> str:
    return (
        f"it sends data, but no picture for {timeout_s:g} s; in its settings turn video encryption off, choose H.264 "
        "and a key frame every few seconds"
    )


def camera_trouble(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no picture within {timeout_s:g} s; plug the camera in again"
    if isinstance(error, PermissionError):
        return "no permission; add your user to the group `video` and log in again"
    if getattr(error, "errno", None) == errno.EBUSY:
        return "another program uses it; close that program"
    return f"can't be opened ({reason_of(error)}); check that it's a camera and plug it in again"


def reason_of(error: Exception) -> str:
    """FFmpeg's text for an error, without the address that its full message contains."""
    return getattr(error, "strerror", None) or type(error).__name__
