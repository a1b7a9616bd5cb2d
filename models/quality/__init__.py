"""The note-quality model: a linear model over hashed n-grams beside a fine-tuned text encoder."""
