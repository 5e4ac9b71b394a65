"""A folder for the files of one run, which a later run removes if this one is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """A new folder that only its owner can enter, removed at the end of the block. Those of killed
    runs with the same ``prefix`` are removed first, as far as possible.

    A run keeps its folder locked (``flock(2)``), and the kernel frees the lock however the process
    ends. systemd-tmpfiles(8) removes old files, but none in a locked folder.
    """
    _remove_leftovers(prefix)
    hidden = Path(tempfile.mkdtemp(prefix=f".{prefix}"))
    lock = os.open(hidden, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: then no folder is a leftover
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now another run may find it: an unlocked folder would be taken for a leftover.
        folder = hidden.rename(hidden.with_name(hidden.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _remove_leftovers(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # another user's, or no folder, or in use
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(folder).st_uid == os.getuid():
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(folder)
