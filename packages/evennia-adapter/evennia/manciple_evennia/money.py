"""
Amounts as people read them.

Money is a whole number of nano-USD (1 USD = 1,000,000,000) and is never a float, so that the game
and the operator's command line agree to the cent.
"""

NANO_PER_USD = 1_000_000_000

_LARGE_USD = 100_000 * NANO_PER_USD
_LARGE_COUNT = 10_000_000
_SCALES = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def divide_half_up(numerator: int, denominator: int) -> int:
    """
    Divide, rounding to the nearest whole number.

    Args:
        numerator (int): At least 0.
        denominator (int): Above 0.

    Returns:
        int: The quotient, a half rounded up.

    """
    return (2 * numerator + denominator) // (2 * denominator)


def format_usd(nano: int, decimals: int = 2) -> str:
    """
    Format money.

    Args:
        nano (int): The amount in nano-USD.
        decimals (int, optional): 0 to 9. The magnitude is rounded half up to these.

    Returns:
        str: As `$1,234.50` or `-$0.05`. What is not zero and would show as zero shows its first two
            digits that count: `$0.0012`.

    """
    magnitude = abs(nano)
    sign = "-" if nano < 0 else ""
    shown = _fixed(magnitude, decimals)
    if magnitude == 0 or any(digit in shown for digit in "123456789"):
        return sign + shown
    leading_place = 10 - len(str(magnitude))
    return sign + _fixed(magnitude, min(leading_place + 1, 9)).rstrip("0")


def _fixed(magnitude: int, decimals: int) -> str:
    units = divide_half_up(magnitude, 10 ** (9 - decimals))
    whole, fraction = divmod(units, 10**decimals)
    return f"${whole:,}.{fraction:0{decimals}d}" if decimals else f"${whole:,}"


def format_count(count: int) -> str:
    """
    Format a number of tokens, requests or calls.

    Args:
        count (int): The number.

    Returns:
        str: As `1,500`, and from ten million on `45M`, rounded down.

    """
    return f"{count:,}" if abs(count) < _LARGE_COUNT else _scaled(count, 1)


def format_quantity(quantity: int, unit: str) -> str:
    """
    Format a quantity in a narrow space, without its unit.

    Args:
        quantity (int): Nano-USD where the unit is `usd`, else a number.
        unit (str): One of `usd`, `tokens`, `requests`.

    Returns:
        str: As `$12.34`, `$123.5k`, `45,000`, `45M`.

    """
    if unit != "usd":
        return format_count(quantity)
    if abs(quantity) < _LARGE_USD:
        return format_usd(quantity)
    return ("-$" if quantity < 0 else "$") + _scaled(abs(quantity), NANO_PER_USD)


def format_amount(quantity: int, unit: str) -> str:
    """
    Format a quantity with its unit where that is not money.

    Args:
        quantity (int): Nano-USD where the unit is `usd`, else a number.
        unit (str): One of `usd`, `tokens`, `requests`.

    Returns:
        str: As `$20.00`, `900k tokens`, `1,500 requests`.

    """
    if unit == "usd":
        return format_quantity(quantity, unit)
    is_round = 10_000 <= quantity < 1_000_000 and quantity % 1000 == 0
    return f"{f'{quantity // 1000}k' if is_round else format_count(quantity)} {unit}"


def _scaled(quantity: int, one: int) -> str:
    sign = "-" if quantity < 0 else ""
    size, suffix = next(scale for scale in _SCALES if abs(quantity) >= scale[0] * one)
    whole, tenth = divmod(abs(quantity) * 10 // (size * one), 10)
    return f"{sign}{whole:,}.{tenth}{suffix}" if tenth else f"{sign}{whole:,}{suffix}"


def format_percent(share: float) -> str:
    """
    Format a share.

    Args:
        share (float): 1 is all.

    Returns:
        str: Whole percent, rounded down, so that 100% is full; `<1%` for what is next to nothing.

    """
    if 0 < share < 0.01:
        return "<1%"
    return f"{int((share * 100 + 1e-9) // 1):,}%"
