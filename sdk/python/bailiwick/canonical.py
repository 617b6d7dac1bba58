"""Canonical JSON (RFC 8785): what a proof signs is the same text on both sides."""

import json
import math
from typing import Any

_SAFE = 2**53 - 1


def _number(value: float) -> str:
    # ECMAScript's Number::toString, which RFC 8785 section 3.2.2.3 names. Python's repr has the same
    # shortest digits and another notation.
    if not math.isfinite(value):
        raise ValueError("a number that is not finite has no JSON form")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)
    point -= len(whole + fraction) - len((whole + fraction).lstrip("0"))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    exponent_text = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return sign + digits[0] + ("." + digits[1:] if count > 1 else "") + exponent_text


def canonical(value: Any) -> str:
    """The canonical text of a JSON value."""
    if value is None or isinstance(value, (bool, str)):
        text = json.dumps(value, ensure_ascii=False)
        text.encode()  # A lone surrogate has no UTF-8 form.
        return text
    if isinstance(value, int):
        if abs(value) > _SAFE:
            raise ValueError("an integer beyond 2^53 - 1 is not kept by every reader of JSON")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("names in JSON are texts")
        # By UTF-16 code units (RFC 8785 section 3.2.3).
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    raise TypeError(f"{type(value).__name__} has no JSON form")
