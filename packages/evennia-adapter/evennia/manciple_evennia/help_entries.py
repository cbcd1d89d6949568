"""Help entries beside those of the commands."""

HELP_ENTRY_DICTS = [
    {
        "key": "cloud budget",
        "aliases": ["local-only", "pace"],
        "category": "Costs",
        "text": """
            The game's minds think in the cloud, and that costs money. A budget says how much
            may be spent, and a router keeps to it before each thought.

            |wlimit|n        what may be spent in a day, a week or a month. Never exceeded.
            |wnear, over|n   most of a limit is spent; all of it is.
            |wlocal-only|n   all cloud budgets are used up: thoughts come from a model on this
                         machine until the date that is given, and may be plainer.
            |wquota|n        what is paid for already, in a window of time. It lapses unused.
            |wpace|n         used share divided by the share of the window that has passed.
                         1 is on plan, less means that paid thinking is left lying.
            |wfloor|n        the least pace that the operator wants.

            |wcosts|n shows what was spent, |wbudget|n how it stands. Notices are shown once to
            each account, at the next login where it was away.

            # subtopics

            ## bars

            A bar of spend shows how much of a limit is gone. A bar of use has a mark at the
            time that has passed: behind the mark is behind plan. All that a colour says is
            also said in words.
        """,
    },
]
