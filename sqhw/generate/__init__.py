"""A language model whose linear layers are computed as an engine computes them."""
