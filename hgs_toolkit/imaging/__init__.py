"""Images, animations and sheets of scenes, made from what the rasteriser draws."""
