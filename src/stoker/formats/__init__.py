"""Header parsers and facts of model files. Pure: parsers ask for byte ranges, they read nothing."""
