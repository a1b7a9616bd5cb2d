"""The policy: how scores become tiers, lifecycle stages, actions and decisions, by a file that people can read."""
