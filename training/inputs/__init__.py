"""What a training step reads: real images, random draws, and what is done to images before they are judged."""
