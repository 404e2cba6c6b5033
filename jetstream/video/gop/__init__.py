"""Compressed video of one camera between processes: `ring` holds packets, `description` says what decodes them, `feed`
writes them and `decoder` makes pictures of them."""
