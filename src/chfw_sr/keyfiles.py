"""Private keys are read from files that nobody else can read, as ssh insists on.

The rule is PostgreSQL's for the keys of its servers, because it is known and fits containers: a file of our own may be
read by us alone (0600 or less), one of root also by a group (0640 or less), as a mounted secret with an `fsGroup` is. A
file of anybody else is refused, since its owner could exchange the key. What is checked is what is read: the file is
opened first.
"""

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_OF_ROOT = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


class ExposedKey(ValueError):  # noqa: N818 - it names the condition
    """A private key lies in a file that others can read or change."""


def read_private_key(path: Path) -> bytes:
    """Read a file with a private key, if nobody else can.

    Args:
        path: the file; a symbolic link is followed, as mounted secrets need.

    Raises:
        ExposedKey: if others can read or change it; the text names the file, its mode and the way out.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        refuse_exposed(path, os.fstat(file.fileno()))
        return file.read()


def refuse_exposed(path: Path, found: os.stat_result | None = None) -> None:
    """Refuse a file in which a private key is not safe.

    Args:
        path: the file.
        found: what is known of it, where it is open already.

    Raises:
        ExposedKey: if others can read or change it.
        OSError: if it is not there.
    """
    if fault := exposure(found or path.stat(), os.geteuid()):
        raise ExposedKey(f"{path}: {fault}")


def exposure(found: os.stat_result, us: int) -> str | None:
    """Tell why a private key is not safe in a file; None if it is.

    Args:
        found: owner and mode of the file.
        us: the user that this process runs as.
    """
    if found.st_uid not in {us, 0}:
        return f"the private key belongs to uid {found.st_uid}; it must belong to this process's (uid {us}) or to root"
    forbidden, allowed = (_OTHERS, 0o600) if found.st_uid == us else (_OTHERS_OF_ROOT, 0o640)
    mode = stat.S_IMODE(found.st_mode)
    if not mode & forbidden:
        return None
    return f"others can get at the private key: its mode is {mode:04o}; make it {allowed:04o} or less (chmod)"
