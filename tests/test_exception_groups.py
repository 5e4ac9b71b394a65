"""Exception groups: a single exception is unwrapped, a larger group stays."""

from __future__ import annotations

import pytest

from lastcall.exception_groups import lone_error, unwrap_single


def test_a_group_of_one_is_raised_as_that_exception_with_its_cause():
    cause, error = OSError("why"), ValueError("one")
    error.__cause__ = cause
    with pytest.raises(ValueError, match="one") as raised, lone_error():
        raise ExceptionGroup("nursery", [error])
    assert raised.value.__cause__ is cause


def test_a_larger_group_is_raised_unchanged():
    with pytest.raises(ExceptionGroup, match="nursery"), lone_error():
        raise ExceptionGroup("nursery", [ValueError("one"), ValueError("two")])


def test_unwrap_single_finds_the_first_error_of_a_type_if_all_have_it_at_any_depth():
    first, second, other = ValueError("one"), UnicodeError("two"), OSError("three")
    assert unwrap_single(first, ValueError) is first
    assert unwrap_single(other, ValueError) is None
    deep = ExceptionGroup("outer", [ExceptionGroup("inner", [first]), second])
    assert unwrap_single(deep, ValueError) is first
    mixed = ExceptionGroup("outer", [second, ExceptionGroup("inner", [first, other])])
    assert unwrap_single(mixed, ValueError) is None
