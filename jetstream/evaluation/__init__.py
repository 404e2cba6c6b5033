"""How well the people of a gallery are known: asked, counted, shown.

`measure` counts, `crossval`, `photoset` and `video` ask, `charts`, `sheets` and `page` show, `run` is the whole.
"""
