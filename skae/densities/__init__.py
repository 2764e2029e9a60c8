"""Densities of codes, fitted after a training: what ``sample`` draws from."""
