"""The churn recipe: from an event log to a judged model."""
