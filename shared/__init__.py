"""The common library of the suite: contracts, settings, clients, web plumbing."""
