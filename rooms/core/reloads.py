"""Decides which version of the code ``lastcall dev`` starts at a save, and which has to go.

::

    save → try a version → it serves → the versions before it leave → each that is empty is stopped
                         └ it fails  → it is discarded, and the version that serves goes on

* A reload is from the save until the rooms of the old versions have left. There is one at a time.
  All saves in it are one, after it: what is tried last was started after the last save.
* A save ends a try that has lasted for :data:`PATIENCE_SECONDS`: its import may have no end.
* A version whose rooms cannot all leave goes on without new ones. At the next reload they are
  offered again; when they are gone, it is stopped.
* A version that dies after it has served for :data:`STEADY_SECONDS` is started again; one that dies
  sooner would do so again, and waits for a save.
"""

from __future__ import annotations

import msgspec

PATIENCE_SECONDS = 3.0
STEADY_SECONDS = 5.0


class Start(msgspec.Struct, frozen=True):
    """Start this version: the code that is on disk now."""

    version: int


class Discard(msgspec.Struct, frozen=True):
    """End this version at once: it has never served."""

    version: int


class Leave(msgspec.Struct, frozen=True):
    """Tell this version to open no rooms, and to give its own to the one that serves."""

    version: int


class Stop(msgspec.Struct, frozen=True):
    """Tell this version to drain: it has no room that could leave."""

    version: int


Action = Start | Discard | Leave | Stop


class Reloads:
    """The versions that run. Each method is an event, and returns what to do, in order; ``now`` is
    in seconds of any clock. Late events, and those of versions that are over, change nothing.
    """

    def __init__(self) -> None:
        self.serving: int | None = None
        """The version that opens rooms."""
        self.trying: int | None = None
        """The version that is being started."""
        self.leaving: set[int] = set()
        """The versions that are asked to give their rooms away, and have not answered."""
        self.staying: set[int] = set()
        """The versions with rooms that could not leave."""
        self._last = 0
        self._since = 0.0
        """When the last try began, or what came of it began to serve."""
        self._saved = False
        """There was a save since the last try began."""
        self._stopped = False

    def saved(self, now: float) -> list[Action]:
        """The author has saved, or starts the first version."""
        self._saved = True
        late = self.trying
        if late is not None and now - self._since >= PATIENCE_SECONDS:
            self.trying = None
            return [Discard(late), *self._next(now)]
        return self._next(now)

    def loaded(self, version: int, now: float) -> list[Action]:
        """The version serves: rooms can come to it, and players."""
        if version != self.trying:
            return []
        if self.serving is not None:
            self.staying.add(self.serving)
        self.serving, self.trying, self._since = version, None, now
        self.leaving, self.staying = self.staying, set()
        return [*map(Leave, sorted(self.leaving)), *self._next(now)]

    def failed(self, version: int, now: float) -> list[Action]:
        """The version does not serve, and will not."""
        if version != self.trying:
            return []
        self.trying = None
        return [Discard(version), *self._next(now)]

    def left(self, version: int, now: float, *, stays: bool) -> list[Action]:
        """The version has offered its rooms; or, later, the last one that ``stays`` is gone."""
        if version not in self.leaving | self.staying:
            return []
        self.leaving.discard(version)
        self.staying.discard(version)
        if stays:
            self.staying.add(version)
            return self._next(now)
        return [Stop(version), *self._next(now)]

    def died(self, version: int, now: float) -> list[Action]:
        """The version has ended, and nobody has asked it to."""
        self.leaving.discard(version)
        self.staying.discard(version)
        if version == self.trying:
            return self.failed(version, now)
        if version == self.serving:
            self.serving = None
            self._saved |= self.trying is None and now - self._since >= STEADY_SECONDS
        return self._next(now)

    def stop(self) -> list[Action]:
        """Nothing is started from now on; the caller ends the version that serves."""
        self._stopped = True
        late, self.trying = self.trying, None
        return [] if late is None else [Discard(late)]

    def _next(self, now: float) -> list[Action]:
        if self._stopped or not self._saved or self.trying is not None or self.leaving:
            return []
        self._saved, self._since = False, now
        self._last += 1
        self.trying = self._last
        return [Start(self._last)]
