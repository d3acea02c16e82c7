"""Once in each turn of the event loop."""

import asyncio

from stoker.base.turn import Turn


async def test_the_first_of_a_turn_is_told_from_the_others() -> None:
    turn = Turn()
    seen: list[list[bool]] = []

    async def ask() -> None:
        seen.append([turn.first(), turn.first()])

    await asyncio.gather(ask(), ask())
    await asyncio.sleep(0)
    await asyncio.gather(ask(), ask())
    assert seen == [[True, False], [False, False]] * 2


def test_without_an_event_loop_everybody_is_the_first() -> None:
    turn = Turn()
    assert turn.first()
    assert turn.first()


async def test_a_thread_is_the_first_whatever_the_loop_does() -> None:
    turn = Turn()
    assert turn.first()
    assert await asyncio.to_thread(turn.first)
