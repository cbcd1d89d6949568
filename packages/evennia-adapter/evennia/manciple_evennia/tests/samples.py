"""A snapshot and notices as the bridge sends them."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

USD = 1_000_000_000
AT = "2026-11-23T14:05:00.000Z"


def figures(**changes: Any) -> dict[str, Any]:
    """The data of a snapshot, of Monday 2026-11-23."""
    return deepcopy({**_FIGURES, **changes})


def snapshot(rev: int = 1, stream: str = "L1.0", **changes: Any) -> dict[str, Any]:
    return {"v": 1, "stream": stream, "rev": rev, "id": 7, "data": figures(**changes)}


def item(seq: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "seq": seq,
        "nid": f"L1:{seq}",
        "ts": AT,
        "severity": "info",
        "kind": "rule",
        "text": f"notice {seq}",
        "data": {},
        "sticky": False,
        "clears": None,
    }
    return {**plain, **changes}


def local_only(seq: int, **changes: Any) -> dict[str, Any]:
    return item(
        seq,
        severity="alert",
        kind="local-only",
        text="Cloud budget exhausted, operating local-only until 2026-12-01 00:00",
        data={"reset": "2026-12-01T05:00:00.000Z", "timezone": "America/New_York"},
        sticky=True,
        **changes,
    )


def restored(seq: int) -> dict[str, Any]:
    return item(seq, kind="restored", text="Cloud budget restored", clears=["local-only"])


def notices(*items: dict[str, Any], stream: str = "L1.0", request: int = 5) -> dict[str, Any]:
    return {"v": 1, "stream": stream, "id": request, "items": list(items)}


def hello(stream: str = "L1.0", oldest: int = 1, coming: int = 100) -> dict[str, Any]:
    return {"v": 1, "stream": stream, "oldest": oldest, "next": coming, "rev": 0}


def limit(name: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "name": name,
        "unit": "usd",
        "window": "month",
        "quantity": 20 * USD,
        "settled": 5 * USD,
        "held": 0,
        "presumed": 0,
        "free": 15 * USD,
        "standing": "within",
        "resets": "2026-12-01T05:00:00.000Z",
        "hard": True,
    }
    return {**plain, **changes}


def quota(backend: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "backend": backend,
        "unit": "tokens",
        "quantity": 45_000_000,
        "settled": 13_950_000,
        "utilization": 0.31,
        "elapsed": 0.5,
        "pace": 0.62,
        "forecast": {"low": 0.5, "mid": 0.62, "high": 0.8},
        "lapse_nano": 7_600_000_000,
        "floor": 0.5,
        "starts": "2026-11-20T14:00:00.000Z",
        "resets": "2026-11-27T14:00:00.000Z",
    }
    return {**plain, **changes}


def backend(name: str, kind: str = "cloud", today: int = 0, week: int = 0, month: int = 0) -> Any:
    return {
        "name": name,
        "kind": kind,
        "today_nano": today,
        "week_nano": week,
        "month_nano": month,
        "today_calls": 1,
        "month_calls": 2_400,
    }


def days(count: int = 30) -> list[dict[str, Any]]:
    """The n-th day back costs claude n cents and kimi nothing."""
    last = datetime(2026, 11, 23, tzinfo=UTC)
    return [
        {
            "day": (last - timedelta(days=back)).date().isoformat(),
            "backends": {
                "claude": {"cost_nano": back * USD // 100, "calls": back},
                "kimi": {"cost_nano": 0, "calls": 1},
            },
        }
        for back in reversed(range(count))
    ]


_FIGURES = {
    "at": AT,
    "timezone": "America/New_York",
    "policy": "a1b2c3",
    "source": {"alive": True, "last_record": AT},
    "local_only": None,
    "spent": {
        "today_nano": 1_234_500_000,
        "week_nano": 8_605_000_000,
        "month_nano": 18_504_999_999,
        "today_calls": 120,
        "month_calls": 3_410,
    },
    "limits": [
        limit("all.day", window="day", quantity=5 * USD, settled=1_234_500_000),
        limit("claude.month", settled=16_400_000_000, standing="near", presumed=130_000_000),
        limit(
            "claude.5h",
            unit="tokens",
            window="5h@first-use",
            quantity=900_000,
            settled=900_000,
            free=0,
            standing="over",
        ),
        limit("kimi.month", quantity=15 * USD, settled=2_104_999_999, hard=False, resets=None),
    ],
    "backends": [
        backend("claude", today=1_004_500_000, week=8_105_000_000, month=16_400_000_000),
        backend("kimi", today=230_000_000, week=500_000_000, month=2_104_999_999),
        backend("ollama", kind="local"),
    ],
    "quotas": [
        quota("claude"),
        quota(
            "kimi",
            unit="usd",
            quantity=15 * USD,
            settled=14 * USD,
            utilization=0.93,
            elapsed=0.3,
            pace=3.1,
            forecast=None,
            lapse_nano=None,
            starts=None,
        ),
    ],
    "total": {"utilization": 0.33, "elapsed": 0.55, "pace": 0.6, "floor": 0.7},
    "days": days(),
}
