"""The online tracker: where to look, what was found, whether it is the target, what is learned."""
