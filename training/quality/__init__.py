"""How a note-quality model is made."""
