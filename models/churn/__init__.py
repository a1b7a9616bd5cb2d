"""The churn model: its ONNX graph and the scorer that runs it."""
