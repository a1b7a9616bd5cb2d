"""Reviews: which notes a person is to look at, in which order, what they decide, and what becomes of it."""
