"""Counts by account: what an address or an identity uses, at once and over time.

An account is a text. ``""`` is nobody (a Unix socket's peer, an anonymous player) and has no limit.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection

from lastcall.limits import Rate

ROUNDING = 1e-6
"""The error of sums of binary fractions."""


def accounts_of(address: str, identity: str | None) -> tuple[str, ...]:
    """The accounts of a client: its address, and the identity with that id if it has one."""
    return (address,) if identity is None else (address, f"identity {identity}")


class Tally:
    """Counts what each account has at the same time: at most ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many accounts have anything."""
        return len(self._counts)

    def count(self, account: str) -> int:
        """How many it has."""
        return self._counts[account]

    def admits(self, account: str) -> bool:
        """Whether it may have one more."""
        return self._counts[account] < self.most

    def add(self, account: str) -> None:
        """It has one more, whether :meth:`admits` it or not."""
        if account:
            self._counts[account] += 1

    def remove(self, account: str) -> None:
        """It has one less."""
        if account:
            self._counts[account] -= 1
            if not self._counts[account]:
                del self._counts[account]


class RateLimiter:
    """The generic cell rate algorithm (ITU-T I.371), by account.

    * Each charge of an account is a debt, which is paid off by ``rate.per_second``. While the debts
      leave no room for one more below ``rate.burst``, the account is refused. So in any ``w``
      seconds at most ``burst + w * per_second`` are admitted.
    * A charge that was not admitted counts too: the account waits all the longer.
    * At most ``accounts_max`` accounts are remembered; the one that was not charged for longest is
      forgotten first, and each as soon as its debts are paid. To gain by an early forgetting takes
      more than ``accounts_max * per_second`` charges a second.

    ``now`` (seconds) must not decrease.
    """

    def __init__(self, rate: Rate, accounts_max: int) -> None:
        self.rate = rate
        self.accounts_max = accounts_max
        self._paid_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many accounts have debts."""
        return len(self._paid_at)

    def admits(self, account: str, now: float, charge: float = 1.0) -> bool:
        """Whether the account may be charged now."""
        debts = (self._paid_at.get(account, now) - now) * self.rate.per_second
        return debts + charge <= self.rate.burst + ROUNDING

    def charge(self, account: str, now: float, charge: float = 1.0) -> None:
        """The account owes ``charge`` more."""
        if not account:
            return
        paid_at = max(now, self._paid_at.get(account, now))
        self._paid_at[account] = paid_at + charge / self.rate.per_second
        self._paid_at.move_to_end(account)
        self._forget(now)

    def give_back(self, account: str, now: float) -> None:
        """One charge was not due after all."""
        paid_at = self._paid_at.get(account, now) - 1 / self.rate.per_second
        if paid_at > now:
            self._paid_at[account] = paid_at
        else:
            self._paid_at.pop(account, None)

    def take(self, accounts: Collection[str], now: float) -> bool:
        """Charges all accounts, if each may be charged; returns whether."""
        if not all(self.admits(account, now) for account in accounts):
            return False
        for account in accounts:
            self.charge(account, now)
        return True

    def _forget(self, now: float) -> None:
        """Forgets the longest quiet accounts: those without debts, or too many."""
        while self._paid_at:
            account, paid_at = next(iter(self._paid_at.items()))
            if len(self._paid_at) <= self.accounts_max and paid_at > now:
                return
            del self._paid_at[account]


class ClientCharges:
    """The charges of one client, on all of its accounts."""

    __slots__ = ("_accounts", "_limiter")

    def __init__(self, limiter: RateLimiter, accounts: Collection[str]) -> None:
        self._limiter = limiter
        self._accounts = accounts

    def admitted(self, now: float) -> bool:
        """Whether the client may be charged now."""
        return all(self._limiter.admits(account, now) for account in self._accounts)

    def charge(self, now: float) -> None:
        """The client owes one more."""
        for account in self._accounts:
            self._limiter.charge(account, now)

    def give_back(self, now: float) -> None:
        """One charge was not due after all."""
        for account in self._accounts:
            self._limiter.give_back(account, now)
