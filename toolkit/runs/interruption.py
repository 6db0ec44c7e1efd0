"""Ctrl-C and SIGTERM while a model is fitted: noted, and obeyed between two epochs, where the state is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from toolkit.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Context in which the first signal waits for the end of the epoch, and any other is obeyed at once.

    Outside the main thread signals cannot be handled; there the context does nothing.

    Attributes:
        patient: signals wait for `obey` (during training); elsewhere they are obeyed at once.
    """

    def __init__(self) -> None:
        self.patient = False
        self._caught: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        """Handle the signals from now on."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Handle them as before."""
        for number, handler in self._previous.items():
            # a handler that was not installed from Python is reported as None and cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @property
    def wanted(self) -> bool:
        """Whether a signal is waiting."""
        return self._caught is not None

    def obey(self) -> None:
        """Stop if a signal is waiting.

        Raises:
            Interrupted: E308, with exit code 130 (Ctrl-C) or 143 (SIGTERM).
        """
        if self._caught is not None:
            raise Interrupted(
                "the fit was interrupted; what was reached is kept",
                signal_number=self._caught,
                remedy="resume with the same command and --resume (in Python: resume=True)",
            )

    def _handle(self, number: int, frame: FrameType | None) -> None:
        impatient = not self.patient or self.wanted
        self._caught = number
        if impatient:
            self.obey()
