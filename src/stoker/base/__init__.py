"""The bottom layer: errors, paths, units, small asyncio tools. Imports nothing of Stoker's."""
