"""What a model needs and where it goes. Pure."""
