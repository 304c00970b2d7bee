"""Money is moved, never made."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.exchange.ledger import FEES, MARKET, Insufficient, Ledger, Unbalanced, to_amount, to_units


def ledger() -> Ledger:
    return Ledger({"ann": {"USDT": Decimal(100)}, "bob": {"BTC": Decimal(2)}})


def test_amounts_and_units_convert_exactly_both_ways() -> None:
    assert to_units(Decimal("0.00000001")) == 1
    assert to_amount(123_456_789) == Decimal("1.23456789")
    with pytest.raises(ValueError, match="eight decimals"):
        to_units(Decimal("0.000000001"))


def test_a_lock_moves_free_to_locked_and_back() -> None:
    money = ledger()
    money.lock("ann", "USDT", to_units(Decimal(60)))
    assert money.balances("ann") == {"USDT": (Decimal(40), Decimal(60))}
    money.unlock("ann", "USDT", to_units(Decimal(60)))
    assert money.balances("ann") == {"USDT": (Decimal(100), Decimal(0))}


def test_a_lock_beyond_the_free_balance_is_refused_and_changes_nothing() -> None:
    money = ledger()
    with pytest.raises(Insufficient):
        money.lock("ann", "USDT", to_units(Decimal(100)) + 1)
    with pytest.raises(Insufficient):
        money.lock("ann", "BTC", 1)
    assert money.balances("ann") == {"USDT": (Decimal(100), Decimal(0))}
    assert money.take_touched() == {}


def test_paying_more_than_is_locked_is_a_bug_not_a_debt() -> None:
    with pytest.raises(Unbalanced):
        ledger().pay("ann", "bob", "USDT", 1)


def test_the_market_may_owe_what_it_paid_and_the_sum_still_holds() -> None:
    money = ledger()
    money.pay(MARKET, "ann", "BTC", 5)
    assert money.free(MARKET, "BTC") == -5
    money.check()


def test_a_fee_ends_in_the_fee_account() -> None:
    money = ledger()
    money.charge("ann", "USDT", 7)
    assert money.free(FEES, "USDT") == 7
    money.check()


def test_only_what_changed_is_reported_and_only_customers() -> None:
    money = ledger()
    money.lock("bob", "BTC", 5)
    money.pay("bob", MARKET, "BTC", 5)
    assert list(money.take_touched()) == ["bob"]
    assert money.take_touched() == {}


def test_a_change_on_one_side_only_is_seen_by_the_running_sum() -> None:
    money = ledger()
    money._change("ann", "USDT", free=-1)  # what a bug would do
    with pytest.raises(Unbalanced, match="USDT"):
        money.assert_balanced()


def test_a_balance_edited_behind_the_ledgers_back_is_seen_by_the_recount() -> None:
    money = ledger()
    money._accounts["ann"]["USDT"].free += 1  # what a bug would do
    money.assert_balanced()
    with pytest.raises(Unbalanced, match="counted"):
        money.check()


@pytest.mark.parametrize("name", [MARKET, FEES])
def test_a_customer_cannot_be_called_like_the_exchanges_own_accounts(name: str) -> None:
    with pytest.raises(ValueError, match="own account"):
        Ledger({name: {}})


@given(st.lists(st.tuples(st.sampled_from(["lock", "unlock", "pay", "charge"]), st.integers(0, 10**11)), max_size=50))
def test_whatever_is_done_nothing_appears_or_vanishes(script: list[tuple[str, int]]) -> None:
    money = ledger()
    for action, amount in script:
        try:
            if action == "lock":
                money.lock("ann", "USDT", amount)
            elif action == "unlock":
                money.unlock("ann", "USDT", min(amount, money.locked("ann", "USDT")))
            elif action == "pay":
                money.pay("ann", "bob", "USDT", min(amount, money.locked("ann", "USDT")))
            else:
                money.charge("bob", "USDT", min(amount, money.free("bob", "USDT")))
        except Insufficient:
            continue
        money.check()
