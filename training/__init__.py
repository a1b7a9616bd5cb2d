"""How a model is made: recipes, splits, metrics, gates, tracking, release (layer 2)."""
