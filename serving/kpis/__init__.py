"""KPIs: what the community does day by day, rolled up from everyone's states, and so from the journal."""
