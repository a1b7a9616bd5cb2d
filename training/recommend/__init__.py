"""The recommender recipe: from an event log to a judged candidate and ranking model."""
