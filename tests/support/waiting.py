"""Waiting is asking again until a deadline: no test sleeps and hopes."""

import time


class TooLate(AssertionError):
    """A condition that did not come true in time; the message says which."""


def until(condition, timeout_s, what, every_s=0.02):
    """Calls condition() until it returns something true, and returns that. `what` (text, or a function that makes one
    at the end) says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise TooLate(f"after {timeout_s} s still not: {text}")
        time.sleep(every_s)
