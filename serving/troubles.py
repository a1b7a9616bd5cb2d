"""What is ill in a server and stops no scoring, by part, each with a code for what is wrong; nothing in it is an id."""

from collections.abc import Mapping
from typing import NamedTuple

from serving.background import Jobs
from serving.folding import Folder
from serving.policies.live import Policies
from serving.queues import Queues
from serving.slots import Slots


class Troubles(NamedTuple):
    """Whose troubles are told: jobs and what waits for them, refused releases and policies, states that lag."""

    jobs: Jobs
    slots: Slots
    policies: Policies
    folder: Folder
    queues: Queues

    def now(self) -> Mapping[str, str]:
        """The parts that are ill."""
        return {
            **self.queues.late(),
            **self.jobs.ill(),
            **{f"{one.model}.{one.role}": "release_refused" for one in self.slots.refused()},
            **{f"policy.{one.role}": "policy_refused" for one in self.policies.refused()},
            **({} if self.folder.is_level else {"states": "behind"}),
        }
