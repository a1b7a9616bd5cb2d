"""What a Chinese note's text says of itself: normalised text, words, and surface signals with spans (layer 0)."""
