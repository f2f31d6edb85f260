"""How a number is written for a reader: never with more digits than anyone reads."""

SMALL, LARGE = 1e-3, 1e5  # of what lies between, decimals are the shorter form


def figure(value: float | None) -> str:
    """A metric as text: with four decimals, or as `1.2e-5` or `2.8e65`."""
    if value is None:
        return "undefined"
    return significant(value, 4) if 0 < abs(value) < SMALL else fixed(value)


def fixed(value: float, decimals: int = 4, sign: str = "") -> str:
    """A number with decimals; one of far too many digits as `2.8e65`.

    Args:
        sign: "+" writes it before a number above zero, too.
    """
    return significant(value, 4, sign) if abs(value) >= LARGE else f"{value:{sign}.{decimals}f}"


def significant(value: float, digits: int, sign: str = "") -> str:
    """A number by its first `digits`, as `1.234` or `2.8e65`."""
    number, _, exponent = f"{value:{sign}.{digits}g}".partition("e")
    return f"{number}e{int(exponent)}" if exponent else number
