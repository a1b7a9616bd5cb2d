"""What comes after the ranker: which candidates are shown, and in which order, so that a feed is worth reading."""
