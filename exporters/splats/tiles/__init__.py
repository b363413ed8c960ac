"""3D Tiles: a tree of .glb tiles whose Gaussians are packed as .spz, as CesiumJS draws them."""
