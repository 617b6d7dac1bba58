import pytest

from bailiwick.canonical import canonical


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # RFC 8785, appendix B and section 3.2.3.
        (0.0, "0"), (-0.0, "0"), (5e-324, "5e-324"), (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"), (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"), (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"), (1.0000000000000001e23, "1.0000000000000001e+23"), (999999999999999700000.0, "999999999999999700000"),
        (1e21, "1e+21"), (9.999999999999997e-7, "9.999999999999997e-7"), (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"), (4.50, "4.5"), (2e-3, "0.002"), (100.0, "100"),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
         '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'),
        ({"b": [None, True, "\u20ac$\u000f\nA'B\"\\\\\"/"], "a": {}}, '{"a":{},"b":[null,true,"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"]}'),
    ],
)
def test_the_text_is_that_of_rfc_8785(value, text):
    assert canonical(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, {1: 2}, "\ud800"])
def test_what_readers_would_not_agree_on_is_refused(value):
    with pytest.raises(ValueError):
        canonical(value)
