"""The quality recipe: from labelled notes to a judged model."""
