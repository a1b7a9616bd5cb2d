"""What can go wrong while a model is made."""


class ConfigError(ValueError):
    """The configuration can't be used as it stands; the message names the key, the value and what is allowed."""


class GateError(RuntimeError):
    """The model fell short of a gate: nothing was registered. The report says by how much."""


class RegistryError(RuntimeError):
    """The registry refused, or did not answer; the message is its own. Try again once it does."""


class ReleaseError(RuntimeError):
    """The registry holds nothing that could be promoted, rolled back or released as asked."""
