"""The README that lies in a generated community's folder."""

from collections.abc import Mapping

TEXT = """# Synthetic note community · 合成笔记社区

**Everything in this folder is synthetic: no person, note, shop or handle is real.**
**本目录的全部用户、笔记、行为与标签均由程序合成，不对应任何真实的人、内容或店铺。**

Made by `python -m training sample` (seed {seed}, {n_users} users, {n_days} days from {start}, Asia/Shanghai).
Ids start with `synthetic-`, labels carry `source = synthetic`, each Parquet file says `synthetic = true` in its metadata.

| file | rows |
| --- | --- |
| `events.parquet` | what users did: open, impression, click, read (seconds), like, collect, comment, share, follow, search, publish, purchase (yuan), report, hide |
| `notes.parquet` | notes in Chinese, in eight categories, those published up to 60 days before the log included |
| `users.parquet` | registration, followers as the log starts, personalisation opt-out, minors |
| `note_labels.parquet` | reviewers' labels `spam` `clickbait` `low_information` `abuse`, about 60% of all pairs, 1.5% of them wrong; no row means unknown |
| `truth/users.parquet` | hidden: tier, interests, session rate, mean daily leave hazard, instants of leaving and returning |
| `truth/notes.parquet` | hidden: topic, quality, appeal, and the harms each text was written for |
| `truth/churn.parquet` | hidden: presence, session rate, leave hazard and 30-day churn probability every 10 days |

A model may read the first four files; `truth/` is for tests and for judging models. Why people leave, click and collect is
written in `training/sample/leaving.py`, `feed.py` and `events.py`.
"""


def readme(facts: Mapping[str, str]) -> str:
    """The text for a community made with ``facts``: seed, n_users, n_days, start."""
    return TEXT.format_map(facts)
