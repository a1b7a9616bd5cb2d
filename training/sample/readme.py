"""The README that lies in a generated community's folder."""

from collections.abc import Mapping

TEXT = """# Synthetic note community · 合成笔记社区

**Everything in this folder is synthetic: no person, note, shop or handle is real.**
**本目录的全部用户、笔记、行为与标签均由程序合成，不对应任何真实的人、内容或店铺。**

Made by `python -m training sample` (seed {seed}, {n_users} users, {n_days} days from {start}, Asia/Shanghai).
Ids start with `synthetic-`, labels carry `source = synthetic`, every Parquet file says `synthetic = true` in its
schema metadata.

What a model may read:

- `events.parquet`: open, impression, click, read (value: seconds), like, collect, comment, share, follow, search,
  publish, purchase (value: yuan), report, hide
- `notes.parquet`: notes in Chinese in eight categories, those from before the log included
- `users.parquet`: registration, followers when the log starts, personalisation opt-out, minors; some users left
  before the log starts and have no event
- `note_labels.parquet`: reviewers' `spam`, `clickbait`, `low_information`, `abuse`: about 60% of all pairs, 0.5% of
  them wrong; a missing row means unknown

What only tests and judges of models may read, the hidden causes:

- `truth/users.parquet`: tier, interests (in the order of `topics` in the schema metadata), session rate, mean daily
  leave hazard, instants of leaving and returning
- `truth/notes.parquet`: topic, quality, appeal, and the harms each text was written for
- `truth/churn.parquet`: every 10 days: presence, session rate, leave hazard, 30-day churn probability

Why people leave, click and collect: `training/sample/leaving.py`, `feed.py` and `events.py`.
"""


def readme(facts: Mapping[str, str]) -> str:
    """The text for a community made with ``facts``: seed, n_users, n_days, start."""
    return TEXT.format_map(facts)
