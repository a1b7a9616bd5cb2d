"""What a model is: contract, exact ONNX, bundle on disk and runtime (layer 1)."""
