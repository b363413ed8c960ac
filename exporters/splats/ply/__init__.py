"""The .ply of Gaussians: its container, the layout of the 3D-GS reference, and PlayCanvas' compressed one."""
