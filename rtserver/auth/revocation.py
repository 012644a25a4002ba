"""Tokens that were called back before their time. Pure, in memory: whoever keeps them hands them in at the start."""

from __future__ import annotations

import math

from rtserver.auth.claims import Identity
from rtserver.store.base import Revoked


class Revocations:
    """What was revoked. Asking costs the same however much that is."""

    __slots__ = ("_rules",)

    def __init__(self) -> None:
        self._rules: dict[tuple[str | None, str | None], Revoked] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def add(
        self,
        now: float,
        *,
        user: str | None = None,
        jti: str | None = None,
        issued_before: float | None = None,
    ) -> Revoked:
        """Revoke, and return what to keep. Without *issued_before* it is everything issued up to *now*."""
        if issued_before is None:
            # A token that is named is meant, also when the issuer's clock goes ahead of ours.
            issued_before = now if jti is None else math.inf
        rule = Revoked(user, jti, issued_before, now)
        self.restore(rule)
        return rule

    def restore(self, rule: Revoked) -> None:
        """Take in what was revoked before, here or on another node. An older rule never narrows a newer one."""
        key = (rule.user, rule.jti)
        known = self._rules.get(key)
        if known is None or rule.issued_before >= known.issued_before:
            self._rules[key] = rule

    def covers(self, identity: Identity) -> bool:
        """Tell whether the token of *identity* was called back. One that does not say when it was issued always is."""
        if not self._rules:
            return False
        issued_at = identity.issued_at if identity.issued_at is not None else -math.inf
        user, jti = identity.user, identity.jti
        keys = (
            ((None, None), (user, None))
            if jti is None
            else ((None, None), (user, None), (None, jti), (user, jti))
        )
        return any(key in self._rules and issued_at <= self._rules[key].issued_before for key in keys)

    def prune(self, recorded_before: float) -> int:
        """Forget what was revoked before then, and return how much that was.

        Safe when no token lives longer than from then to now: nobody can come with one that old.
        """
        old = [key for key, rule in self._rules.items() if rule.recorded_at < recorded_before]
        for key in old:
            del self._rules[key]
        return len(old)
