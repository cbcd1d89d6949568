"""Every field of every message is checked."""

import json
from unittest import TestCase

from .. import protocol
from ..protocol import HELLO, NOTICES, SNAPSHOT, Refused, read, request_id
from . import samples


class ProtocolTest(TestCase):
    def refused(self, name, check, message):
        with self.assertRaises(Refused) as caught:
            read(name, check, message)
        return caught.exception

    def test_good_messages_pass_and_unknown_keys_go(self):
        message = read("costs_snapshot", SNAPSHOT, {**samples.snapshot(), "new": 1})
        self.assertNotIn("new", message)
        self.assertEqual(message["data"]["spent"], samples.figures()["spent"])
        self.assertEqual(message["data"]["days"], samples.figures()["days"])
        self.assertEqual(read("costs_hello", HELLO, samples.hello())["oldest"], 1)
        items = read("costs_notices", NOTICES, samples.notices(samples.local_only(1)))["items"]
        self.assertEqual(items[0]["data"]["reset"], "2026-12-01T05:00:00.000Z")

    def test_another_version_is_refused(self):
        for version in (None, 0, 2, True, "1"):
            code = self.refused("costs_hello", HELLO, {**samples.hello(), "v": version}).code
            self.assertEqual(code, "version")

    def test_a_wrong_value_is_refused_with_its_place(self):
        for path, value in (
            ("at", "yesterday"),
            ("at", "2026-11-23T14:05:00"),
            ("at", "9999-12-31T23:59:59Z"),
            ("at", 5),
            ("timezone", ""),
            ("timezone", "x" * 201),
            ("timezone", None),
            ("source", {"alive": 1, "last_record": None}),
            ("source", []),
            ("local_only", {"since": samples.AT, "until": None, "text": ""}),
            ("spent", {}),
            ("limits", {}),
            ("limits", [samples.limit("a", unit="gold")]),
            ("limits", [samples.limit("a", quantity=1.5)]),
            ("limits", [samples.limit("a", quantity=True)]),
            ("limits", [samples.limit("a", quantity=2**53 + 1)]),
            ("limits", [samples.limit("a", standing="fine")]),
            ("limits", [samples.limit("a", hard=None)]),
            ("limits", [samples.limit("a")] * 501),
            ("backends", [samples.backend("a", kind="fog")]),
            ("quotas", [samples.quota("a", utilization=float("nan"))]),
            ("quotas", [samples.quota("a", elapsed=float("inf"))]),
            ("quotas", [samples.quota("a", pace=1e12)]),
            ("quotas", [samples.quota("a", pace="1")]),
            ("quotas", [samples.quota("a", floor=True)]),
            ("total", None),
            ("days", [{"day": "2026-13-01", "backends": {}}]),
            ("days", [{"day": "20261101", "backends": {}}]),
            ("days", [{"day": "2026-11-01", "backends": []}]),
            ("days", [{"day": "2026-11-01", "backends": {"a": {"cost_nano": 1, "calls": -1}}}]),
        ):
            message = samples.snapshot(**{path: value})
            wrong = self.refused("costs_snapshot", SNAPSHOT, message)
            self.assertIn(wrong.code, ("schema", "too_big"), (path, value))
            if wrong.code == "schema":
                self.assertIn(f"costs_snapshot.data.{path}", wrong.detail)

    def test_every_field_is_needed(self):
        for name, check, message in (
            ("costs_hello", HELLO, samples.hello()),
            ("costs_snapshot", SNAPSHOT, samples.snapshot()),
            ("costs_notices", NOTICES, samples.notices(samples.item(1))),
        ):
            for field in message:
                short = {key: value for key, value in message.items() if key != field}
                self.assertIn(self.refused(name, check, short).code, ("schema", "version"))

    def test_notices_are_checked_one_by_one(self):
        for changes in (
            {"seq": 0},
            {"seq": "1"},
            {"nid": ""},
            {"ts": ""},
            {"severity": "grave"},
            {"text": "\n \n"},
            {"text": "x" * 2_001},
            {"data": []},
            {"data": {"deep": {}}},
            {"data": {"x": float("nan")}},
            {"data": {"reset": "soon"}},
            {"data": {str(n): n for n in range(51)}},
            {"sticky": "yes"},
            {"clears": "local-only"},
            {"clears": [5]},
        ):
            message = samples.notices(samples.item(1), {**samples.item(2), **changes})
            wrong = self.refused("costs_notices", NOTICES, message)
            self.assertEqual(wrong.code, "schema", changes)
            self.assertIn("items[1]", wrong.detail)

    def test_of_a_notices_data_only_what_the_game_needs_is_kept(self):
        data = {"limit": "claude.month", "settled": 2**52, "x": None, "y": True, "reason": "r"}
        items = read("costs_notices", NOTICES, samples.notices(samples.item(1, data=data)))["items"]
        self.assertEqual(items[0]["data"], {"reset": None, "about": "claude.month"})

    def test_a_kind_that_is_not_known_passes(self):
        items = read("costs_notices", NOTICES, samples.notices(samples.item(1, kind="new")))[
            "items"
        ]
        self.assertEqual(items[0]["kind"], "new")

    def test_a_frame_may_have_64_kib_and_not_a_byte_more(self):
        message = {**samples.hello(), "pad": ""}
        frame = json.dumps(["costs_hello", [], message], separators=(",", ":"))
        message["pad"] = "x" * (protocol.MAX_BYTES - len(frame))
        read("costs_hello", HELLO, message)
        message["pad"] += "x"
        self.assertEqual(self.refused("costs_hello", HELLO, message).code, "too_big")

    def test_a_batch_may_have_50_notices(self):
        read("costs_notices", NOTICES, samples.notices(*(samples.item(n) for n in range(1, 51))))
        many = samples.notices(*(samples.item(n) for n in range(1, 52)))
        self.assertEqual(self.refused("costs_notices", NOTICES, many).code, "too_big")

    def test_an_answer_carries_only_a_proper_id(self):
        ids = (0, 5, True, -1, "x", None, 2**60, 1.0)
        found = [request_id({"id": one}) for one in ids]
        self.assertEqual(found, [0, 5, None, None, None, None, None, None])
