"""Text from outside does no harm."""

from django.test import override_settings
from evennia.utils.ansi import parse_ansi
from evennia.utils.funcparser import FuncParser
from evennia.utils.test_resources import EvenniaTestCase
from evennia.utils.text2html import parse_html
from evennia.utils.utils import display_len

from ..text import cell, crop, one_line, outside

HOSTILE = "|rred|n {r ||x || {{y $You() $pad(a,3) \\$b <b>bold</b> &amp; |lclook|ltclick|le"


class TextTest(EvenniaTestCase):
    def test_line_breaks_and_controls_become_spaces(self):
        self.assertEqual(
            one_line("a\nb\r\nc\x1b[31md\x00e\u2028f\ud800g\t h "), "a b c [31md e f g h"
        )

    def test_changes_of_direction_go(self):
        self.assertEqual(one_line("abc\u202ecba\u2066x"), "abccbax")

    def test_markup_shows_as_it_was_written(self):
        for mxp in (True, False):
            self.assertEqual(parse_ansi(outside(HOSTILE), strip_ansi=True, mxp=mxp), HOSTILE)

    def test_html_shows_as_it_was_written_in_the_webclient(self):
        html = parse_html(outside("<b>x</b> |rred"))
        self.assertIn("&lt;b&gt;x&lt;/b&gt;", html)
        self.assertNotIn("<b>", html)
        self.assertIn("|rred", html)

    def test_links_that_run_commands_show_as_they_were_written_in_the_webclient(self):
        for link in ("|lcquit|ltx|le", "||lcquit|ltx|le", "|luhttp:x|lty|le", "|||lcquit||ltx||le"):
            self.assertNotIn("<a", parse_html(outside(link)), link)
            self.assertNotIn("|lc", parse_ansi(outside(link), mxp=True))

    @override_settings(FUNCPARSER_PARSE_OUTGOING_MESSAGES_ENABLED=True)
    def test_inline_functions_show_as_they_were_written(self):
        parser = FuncParser({"You": lambda *a, **k: "HIT", "pad": lambda *a, **k: "HIT"})
        for text in ("$You()", "\\$You()", "a\\", "$pad(a,3) costs $5", "a\\\\b", HOSTILE):
            shown = parse_ansi(parser.parse(outside(text)), strip_ansi=True, mxp=True)
            self.assertEqual(shown, text)

    def test_cutting_counts_columns_not_characters(self):
        self.assertEqual(crop("abcdef", 6), "abcdef")
        self.assertEqual(crop("abcdef", 4), "abc~")
        self.assertLessEqual(display_len(crop("漢字漢字", 5)), 5)
        self.assertEqual(crop("ab", 1), "~")

    def test_a_cell_fills_its_width_whatever_is_in_it(self):
        for text in ("ab", HOSTILE, "漢字", ""):
            for right in (False, True):
                shown = parse_ansi(cell(text, 12, right), strip_ansi=True)
                self.assertEqual(display_len(shown), 12)
