"""One folder per system; a project never imports another project."""
