"""What can go wrong with a model."""


class ExportError(Exception):
    """ONNX can't repeat a part of the model exactly; the message names it. Train the model without that part."""


class BundleError(Exception):
    """The bundle can't be trusted; the message says why. Keep the one in use, and release another."""


class ContractError(Exception):
    """The arrays, or the graph, are not what the model's contract names; the message says which. Send what it names."""


class ExplainError(Exception):
    """Scores can't be explained; the message says why. Answer without, or install the extra ``explain``."""


class EncoderError(ValueError):
    """The text encoder can't be had; the message says why. Name another one, or install what is missing."""
