"""What can go wrong with data."""


class DataError(ValueError):
    """The data breaks the contract; the message names file, column, count and first bad values. Fix the data."""
