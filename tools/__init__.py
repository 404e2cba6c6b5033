"""Tools for the pages in docs/. They stand beside docs/, which holds only what the site shows, and outside the package
that users install."""
