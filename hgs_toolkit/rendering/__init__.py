"""Drawing Gaussians: one interface, three backends."""
