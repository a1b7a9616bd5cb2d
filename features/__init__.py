"""What is known of a user or a note: tables, state and feature functions (layer 0)."""
