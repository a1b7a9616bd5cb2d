"""Pretrained text encoders as trainable torch modules: the training side's door to torch and transformers.

Serving never imports this package: it runs the exported graph, and reads the tokenizer's JSON with ``tokenizers``.
"""
