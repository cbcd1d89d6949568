"""Amounts come out as on the operator's command line."""

from unittest import TestCase

from ..money import (
    divide_half_up,
    format_amount,
    format_count,
    format_percent,
    format_quantity,
    format_usd,
)


class MoneyTest(TestCase):
    def test_money_is_rounded_half_up_from_the_integer(self):
        for nano, text in (
            (0, "$0.00"),
            (5_000_000, "$0.01"),
            (18_504_999_999, "$18.50"),
            (18_505_000_000, "$18.51"),
            (1_234_500_000_000, "$1,234.50"),
            (-50_000_000, "-$0.05"),
            (2**53, "$9,007,199.25"),
        ):
            self.assertEqual(format_usd(nano), text)

    def test_what_would_show_as_zero_shows_its_first_digits(self):
        self.assertEqual(format_usd(1_234_567), "$0.0012")
        self.assertEqual(format_usd(1), "$0.000000001")
        self.assertEqual(format_usd(-4_999_999), "-$0.005")
        self.assertEqual(format_usd(400_000_000, 0), "$0.4")
        self.assertEqual(format_usd(1_500_000_000, 0), "$2")

    def test_a_half_goes_up(self):
        self.assertEqual([divide_half_up(n, 10) for n in (4, 5, 14, 15)], [0, 1, 1, 2])

    def test_large_numbers_are_cut_not_rounded_up(self):
        self.assertEqual(format_count(9_999_999), "9,999,999")
        self.assertEqual(format_count(13_999_999), "13.9M")
        self.assertEqual(format_count(45_000_000), "45M")
        self.assertEqual(format_count(-2_500_000_000), "-2.5B")
        self.assertEqual(format_quantity(123_456 * 10**9, "usd"), "$123.4k")
        self.assertEqual(format_quantity(-123_456 * 10**9, "usd"), "-$123.4k")

    def test_an_amount_says_its_unit(self):
        self.assertEqual(format_amount(20 * 10**9, "usd"), "$20.00")
        self.assertEqual(format_amount(900_000, "tokens"), "900k tokens")
        self.assertEqual(format_amount(1_500, "requests"), "1,500 requests")

    def test_percent_is_cut_so_that_100_is_full(self):
        shares = (0, 0.004, 0.01, 0.29, 0.999, 1, 12.345)
        texts = ["0%", "<1%", "1%", "29%", "99%", "100%", "1,234%"]
        self.assertEqual([format_percent(share) for share in shares], texts)
