"""What can go wrong, each with what to do about it."""


class BailiwickError(Exception):
    """Every error of this package."""


class Denied(BailiwickError):
    """The gateway denied a call, before any effect.

    ``code`` is stable (docs/denials.md), ``reason`` is a sentence, ``remedy`` says what to do, and
    ``decision_id`` finds the decision in the ledger. A caller that the gateway does not know learns
    only that: ``code`` is ``unauthenticated``.
    """

    def __init__(self, code: str, reason: str, remedy: str, decision_id: str | None):
        super().__init__(f"{reason} ({code}); {remedy}")
        self.code, self.reason, self.remedy = code, reason, remedy
        self.decision_id = decision_id


class ToolFailed(BailiwickError):
    """The call was allowed, and the tool server failed: it may have had its effect.

    ``code`` and ``decision_id`` as in :class:`Denied`; ``code`` is ``None`` where the error is the
    tool server's own.
    """

    def __init__(self, message: str, code: str | None, decision_id: str | None):
        super().__init__(message)
        self.code, self.decision_id = code, decision_id


class Refused(BailiwickError):
    """The authority issued nothing: ``code`` is its stable reason or OAuth's ``error``."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{message} ({code})")
        self.code = code


class Unavailable(BailiwickError):
    """Nobody answered, or something that is no Bailiwick did. Whether a call had its effect is unknown."""
