"""Training sets rendered from textured meshes."""
