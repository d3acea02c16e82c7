"""OCI vocabulary: digests, descriptors, manifests, references. Pure: no I/O, no defaults."""
