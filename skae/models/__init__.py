"""What is learned: paths between rows and codes, and what they minimise."""
