"""A synthetic note community with known hidden causes, in the project's data contract."""
