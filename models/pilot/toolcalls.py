"""Made-up tools, requests that call them, and what to say to their results."""

import random
from dataclasses import dataclass
from typing import Any

_CITY = [
    "Oslo", "Paris", "Berlin", "Rome", "Tokyo", "Madrid", "Lima", "Cairo", "Vienna", "London",
    "Prague", "Dublin", "Athens", "Boston", "Chicago", "Delhi", "Seoul", "Quito", "Nairobi",
    "Lisbon", "Warsaw", "Toronto", "Sydney", "Helsinki", "Amsterdam", "Zurich",
]  # fmt: skip
_NAME = [
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jonas", "Kate",
    "Leo", "Mia", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tina", "Victor", "Wendy", "Yuki", "Zoe",
    "Omar", "Priya", "Chen",
]  # fmt: skip
_WORD = [
    "apple", "river", "window", "garden", "engine", "silver", "winter", "basket", "candle",
    "forest", "hammer", "island", "jacket", "kitten", "ladder", "marble", "needle", "orange",
    "pencil", "rocket", "saddle", "ticket", "violin", "walnut", "yellow",
]  # fmt: skip
_ROOM = ["kitchen", "bedroom", "office", "garage", "bathroom", "hall", "cellar", "living room"]
_SYLLABLES = [
    "ba", "ka", "lo", "mi", "ra", "ti", "no", "ze", "fu", "go", "pe", "sun", "dor", "vel", "tar",
    "lum", "or", "nex", "sa", "wy",
]  # fmt: skip


def _made_up(rng: random.Random) -> str:
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))


def _text(kind: str, rng: random.Random) -> str:
    if rng.random() < 0.30:
        word = _made_up(rng)
        return word.capitalize() if kind in ("city", "name") else word
    return rng.choice({"city": _CITY, "name": _NAME, "word": _WORD, "room": _ROOM}[kind])


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: `fields` maps an argument to its kind (city, name, word, room, int, or a tuple of
    choices).
    """

    names: tuple[str, ...]
    description: str
    fields: dict[str, str | tuple[str, ...]]
    asks: tuple[str, ...]
    results: tuple[
        tuple[dict[str, Any], str], ...
    ]  # (result, answer); $name takes the call's argument


_TOOLS = [
    Tool(
        ("get_weather", "weather", "current_weather"), "Get the weather of a city",
        {"city": "city"},
        (
            "what is the weather in $city", "weather in $city",
            "how is the weather in $city today", "is it warm in $city",
            "tell me the weather for $city", "what's the weather like in $city",
            "do I need an umbrella in $city", "weather $city please",
        ),
        (
            ({"temperature": "#T", "condition": "sunny"}, "It is sunny in $city, at #T degrees."),
            ({"temperature": "#T", "condition": "rainy"}, "It is rainy in $city, at #T degrees."),
            ({"temperature": "#T", "condition": "cloudy"}, "It is cloudy in $city, at #T degrees."),
        ),
    ),
    Tool(
        ("get_weather", "weather", "forecast"), "Get the weather of a city in a unit",
        {"city": "city", "unit": ("celsius", "fahrenheit")},
        (
            "weather in $city in $unit", "what is the temperature in $city in $unit",
            "how warm is $city in $unit", "give me $city weather in $unit",
        ),
        (({"temperature": "#T", "unit": "$unit"}, "It is #T degrees $unit in $city."),),
    ),
    Tool(
        ("get_time", "current_time", "clock"), "Get the current time in a city", {"city": "city"},
        (
            "what time is it in $city", "time in $city", "tell me the time in $city",
            "how late is it in $city", "current time in $city",
        ),
        (({"time": "#H:#M"}, "It is #H:#M in $city."),),
    ),
    Tool(
        ("add", "add_numbers", "sum"), "Add two numbers", {"a": "int", "b": "int"},
        (
            "add $a and $b with the tool", "use the tool to add $a and $b",
            "what is $a plus $b, use your tool", "sum up $a and $b", "add $a and $b",
        ),
        (({"result": "#N"}, "The result is #N."),),
    ),
    Tool(
        ("multiply", "multiply_numbers"), "Multiply two numbers", {"a": "int", "b": "int"},
        (
            "multiply $a by $b", "what is $a times $b, use the tool",
            "use the tool to multiply $a and $b", "multiply $a and $b",
        ),
        (({"result": "#N"}, "The result is #N."),),
    ),
    Tool(
        ("set_light", "switch_light", "light"), "Switch the light of a room",
        {"room": "room", "state": ("on", "off")},
        (
            "turn $state the light in the $room", "switch the $room light $state",
            "light $state in the $room", "please turn the $room light $state",
        ),
        (({"ok": True}, "The light in the $room is $state."),),
    ),
    Tool(
        ("send_message", "message", "notify"), "Send a message to a person",
        {"to": "name", "text": "word"},
        (
            "send $to the message $text", "tell $to $text", "send a message to $to saying $text",
            "message $text to $to", "write $text to $to",
        ),
        (({"sent": True}, "I sent the message to $to."),),
    ),
    Tool(
        ("search", "web_search", "find"), "Search the web", {"query": "word"},
        (
            "search for $query", "look up $query", "find $query on the web",
            "search the web for $query", "google $query",
        ),
        (({"results": "#N"}, "I found #N results for $query."),),
    ),
    Tool(
        ("set_timer", "timer", "start_timer"), "Start a timer", {"minutes": "int"},
        (
            "set a timer for $minutes minutes", "start a timer of $minutes minutes",
            "timer $minutes minutes", "wake me in $minutes minutes",
        ),
        (({"ok": True}, "The timer is set to $minutes minutes."),),
    ),
    Tool(
        ("list_files", "files", "ls"), "List the files of a folder", {"folder": "word"},
        (
            "list the files in $folder", "what is in the folder $folder",
            "show me the files of $folder", "which files are in $folder",
        ),
        (({"files": "#N"}, "There are #N files in $folder."),),
    ),
    Tool(
        ("get_user", "find_user", "lookup_user"), "Look up a user by name", {"name": "name"},
        (
            "look up the user $name", "find the user $name", "who is the user $name",
            "get the user $name", "show me user $name",
        ),
        (({"age": "#N"}, "$name is #N years old."),),
    ),
    Tool(
        ("set_volume", "volume"), "Set the volume", {"level": "int"},
        (
            "set the volume to $level", "volume $level", "change the volume to $level",
            "make the volume $level",
        ),
        (({"ok": True}, "The volume is $level."),),
    ),
]  # fmt: skip


def _schema(tool: Tool, name: str, rng: random.Random) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for field, kind in tool.fields.items():
        if isinstance(kind, tuple):
            properties[field] = {"type": "string", "enum": list(kind)}
        else:
            properties[field] = {"type": "integer" if kind == "int" else "string"}
        if rng.random() < 0.2:
            properties[field]["description"] = f"The {field}"
    required = list(tool.fields)
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if rng.random() < 0.8:
        parameters["required"] = required
    function = {"name": name, "description": tool.description, "parameters": parameters}
    if rng.random() < 0.15:
        function["description"] = ""  # llama.cpp writes a missing one like this
    return {"type": "function", "function": function}


def make_tools(rng: random.Random) -> tuple[list[dict[str, Any]], dict[str, Tool]]:
    """One to three tools in OpenAI's shape, and each one by the name it goes by here."""
    chosen = rng.sample(_TOOLS, rng.choice([1, 1, 2, 2, 3]))
    by_name: dict[str, Tool] = {}
    for tool in chosen:
        name = rng.choice([n for n in tool.names if n not in by_name] or [tool.names[0] + "_2"])
        by_name[name] = tool
    return [_schema(tool, name, rng) for name, tool in by_name.items()], by_name


def make_call(
    name: str, tool: Tool, rng: random.Random
) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    """A request for `tool`: (what the user says, the call, the result, the answer to the
    result).
    """
    arguments: dict[str, Any] = {}
    for field, kind in tool.fields.items():
        if isinstance(kind, tuple):
            arguments[field] = rng.choice(kind)
        else:
            arguments[field] = rng.randint(1, 99) if kind == "int" else _text(kind, rng)
    result, answer = rng.choice(tool.results)
    ask = rng.choice(tool.asks)
    numbers = {
        "#T": rng.randint(-9, 35), "#N": rng.randint(1, 99), "#H": rng.randint(10, 23),
        "#M": rng.randint(10, 59),
    }  # fmt: skip
    filled: dict[str, Any] = {}
    for key, value in result.items():
        if isinstance(value, str) and value in numbers:
            filled[key] = numbers[value]
        elif isinstance(value, str):
            filled[key] = _fill(value, arguments, numbers)
        else:
            filled[key] = value
    return (
        _fill(ask, arguments, {}),
        {"name": name, "arguments": arguments},
        filled,
        _fill(answer, arguments, numbers),
    )


def _fill(text: str, arguments: dict[str, Any], numbers: dict[str, int]) -> str:
    for key in sorted(arguments, key=len, reverse=True):
        text = text.replace("$" + key, str(arguments[key]))
    for mark, number in numbers.items():
        text = text.replace(mark, str(number))
    return text
