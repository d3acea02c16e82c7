"""What runs, when: a pure core in an asyncio shell."""
