"""The shipped policy, and how others are stored, activated, tried beside it, and taken back."""
