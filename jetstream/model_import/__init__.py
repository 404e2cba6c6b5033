"""A user's ONNX file to a network that jetstream runs: repaired, tried on pictures, measured, stored with a card."""
