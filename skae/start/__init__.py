"""Where a training starts: PCA and its kin, from weighted rows."""
