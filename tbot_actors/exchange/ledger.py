"""Who owns what: free and locked amounts per account and asset, in integers of 1e-8.

Every movement is between two named places, so the sum per asset is what was once deposited. The anonymous
market and the fee account are places like any other; only the market may owe.
"""

from collections.abc import Mapping
from decimal import Decimal

from attrs import define, frozen

UNITS = 10**8
"""Ledger units in one whole of any asset: Binance's eight decimals."""

MARKET = ""
"""The account of the market's own liquidity: the other side of every trade with nobody in particular."""

FEES = "#fees"
"""The account that receives fees."""


class Insufficient(Exception):
    """The account's free balance does not cover the amount; nothing was changed."""


class Unbalanced(AssertionError):
    """Money appeared or vanished, or a balance went below zero: a bug in the exchange."""


def to_units(amount: Decimal) -> int:
    """An amount as ledger units. Raises ValueError when it has more than eight decimals."""
    units = amount.scaleb(8)
    if units != units.to_integral_value():
        raise ValueError(f"{amount} has more than eight decimals")
    return int(units)


def to_amount(units: int) -> Decimal:
    """Ledger units as an exact Decimal."""
    return Decimal(units).scaleb(-8)


@define(slots=True, eq=False)
class _Balance:
    free: int = 0
    locked: int = 0


@frozen(kw_only=True)
class LedgerMemory:
    """A ledger as a value: what was deposited per asset, and (free, locked) of each account, the exchange's own too."""

    issued: dict[str, Decimal]
    balances: dict[str, dict[str, tuple[Decimal, Decimal]]]


class Ledger:
    """Balances of every account. Amounts are ledger units and never negative.

    `assert_balanced` is O(assets) and runs after every event; `check` recounts everything.
    """

    def __init__(self, accounts: Mapping[str, Mapping[str, Decimal]]) -> None:
        self._accounts: dict[str, dict[str, _Balance]] = {MARKET: {}, FEES: {}}
        self._issued: dict[str, int] = {}
        self._total: dict[str, int] = {}
        self._touched: dict[str, dict[str, None]] = {}
        for account, assets in accounts.items():
            if account in (MARKET, FEES):
                raise ValueError(f"{account!r} is the exchange's own account")
            self._accounts[account] = {}
            for asset, amount in assets.items():
                units = to_units(amount)
                if units < 0:
                    raise ValueError(f"{account} would start with {amount} {asset}")
                self._issued[asset] = self._issued.get(asset, 0) + units
                self._change(account, asset, free=units)
        self._touched.clear()

    @classmethod
    def restored(cls, memory: LedgerMemory) -> "Ledger":
        """The ledger that was remembered. Raises Unbalanced, or ValueError, for one that cannot have been."""
        ledger = cls({account: {} for account in memory.balances if account not in (MARKET, FEES)})
        ledger._issued = {asset: to_units(amount) for asset, amount in memory.issued.items()}
        for account, assets in memory.balances.items():
            for asset, (free, locked) in assets.items():
                ledger._change(account, asset, free=to_units(free), locked=to_units(locked))
        ledger._touched.clear()
        ledger.check()
        return ledger

    def remember(self) -> LedgerMemory:
        """Everything `restored` needs."""
        return LedgerMemory(
            issued={asset: to_amount(units) for asset, units in self._issued.items()},
            balances={account: self.balances(account) for account in self._accounts},
        )

    def accounts(self) -> list[str]:
        """The customers' accounts."""
        return [name for name in self._accounts if name not in (MARKET, FEES)]

    def free(self, account: str, asset: str) -> int:
        """Units the account may still commit."""
        balance = self._accounts[account].get(asset)
        return 0 if balance is None else balance.free

    def locked(self, account: str, asset: str) -> int:
        """Units held for the account's open orders."""
        balance = self._accounts[account].get(asset)
        return 0 if balance is None else balance.locked

    def balances(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        """Asset → (free, locked) of an account. Raises KeyError for an account that does not exist."""
        return {
            asset: (to_amount(balance.free), to_amount(balance.locked))
            for asset, balance in self._accounts[account].items()
        }

    def lock(self, account: str, asset: str, amount: int) -> None:
        """Hold free units for an order. Raises Insufficient."""
        free = self.free(account, asset)
        if free < amount:
            raise Insufficient(f"{account} has {to_amount(free)} {asset} free, {to_amount(amount)} needed")
        self._change(account, asset, free=-amount, locked=amount)

    def unlock(self, account: str, asset: str, amount: int) -> None:
        """Give held units back."""
        self._change(account, asset, free=amount, locked=-amount)

    def pay(self, payer: str, receiver: str, asset: str, amount: int) -> None:
        """Move units: out of what the payer holds locked (the market pays out of nothing), into free."""
        if payer == MARKET:
            self._change(payer, asset, free=-amount)
        else:
            self._change(payer, asset, locked=-amount)
        self._change(receiver, asset, free=amount)

    def charge(self, account: str, asset: str, amount: int) -> None:
        """Move a fee from the account's free balance to the fee account."""
        self._change(account, asset, free=-amount)
        self._change(FEES, asset, free=amount)

    def take_touched(self) -> dict[str, dict[str, tuple[Decimal, Decimal]]]:
        """Customers' balances changed since the last call: account → asset → (free, locked)."""
        touched, self._touched = self._touched, {}
        return {
            account: {
                asset: (to_amount(self.free(account, asset)), to_amount(self.locked(account, asset)))
                for asset in assets
            }
            for account, assets in touched.items()
        }

    def assert_balanced(self) -> None:
        """Every asset's running sum is what was deposited. Raises Unbalanced."""
        if self._total != self._issued:
            drift = {
                asset: total - self._issued.get(asset, 0)
                for asset, total in self._total.items()
                if total != self._issued.get(asset, 0)
            }
            raise Unbalanced(f"units out of nothing: {drift}")

    def check(self) -> None:
        """Recount every balance of every account. Raises Unbalanced."""
        counted = dict.fromkeys(self._issued, 0)
        for account, assets in self._accounts.items():
            for asset, balance in assets.items():
                if balance.locked < 0 or (balance.free < 0 and account != MARKET):
                    raise Unbalanced(f"{account} holds {balance} of {asset}")
                counted[asset] = counted.get(asset, 0) + balance.free + balance.locked
        if counted != self._issued:
            raise Unbalanced(f"counted {counted}, deposited {self._issued}")
        self.assert_balanced()

    def _change(self, account: str, asset: str, *, free: int = 0, locked: int = 0) -> None:
        if asset not in self._issued:
            self._issued[asset] = 0
        assets = self._accounts[account]
        balance = assets.get(asset)
        if balance is None:
            balance = assets[asset] = _Balance()
        balance.free += free
        balance.locked += locked
        if account != MARKET and (balance.free < 0 or balance.locked < 0):
            raise Unbalanced(f"{account} would hold {balance} of {asset}")
        self._total[asset] = self._total.get(asset, 0) + free + locked
        if account not in (MARKET, FEES):
            self._touched.setdefault(account, {})[asset] = None
