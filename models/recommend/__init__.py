"""The recommender as it is released: neighbour tables, note statistics and a ranker, in NumPy and ONNX alone."""
