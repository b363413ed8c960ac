"""Inversion: the latent, the camera and, if wanted, the generator that show what photographs show."""
