"""The networks: mapping, generator, background, discriminators."""
