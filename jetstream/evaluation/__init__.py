"""Measures how well a gallery recognises its people.

`cross_validation`, `photo_set` and `video` (with `ground_truth`) test the gallery, `metrics` computes the figures,
`charts`, `tables`, `error_sheets` and `html_report` present them, and `evaluate` runs one evaluation.
"""
