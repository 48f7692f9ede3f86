"""A StopToken tells a loop, from any thread, to end after its step."""


class StopToken:
    """Ask what was given this token to stop; it keeps its work and can go on later.

    >>> token = StopToken()
    >>> token.stop()
    >>> token.stopped
    True
    """

    def __init__(self) -> None:
        self._stopped = False  # no lock: a signal handler may interrupt whoever holds one

    def stop(self) -> None:
        """Stop at the end of the step; call it from any thread, or from a signal handler, as often as you like."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped
