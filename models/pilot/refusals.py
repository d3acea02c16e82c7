"""Questions pilot must not try to answer: everything that is not Stoker, a greeting, a small sum or
counting.
"""

import random

_PLACE = [
    "France", "Spain", "Italy", "Japan", "Brazil", "Canada", "Egypt", "India", "China", "Kenya",
    "Peru", "Norway", "Germany", "Poland", "Australia", "Mexico", "Turkey", "Greece", "Chile",
    "Sweden", "Paris", "London", "Berlin", "Rome", "Tokyo", "Madrid", "New York", "Moscow", "Oslo",
    "Vienna", "Texas", "Africa", "Europe", "the moon", "Mars",
]  # fmt: skip
_PERSON = [
    "Napoleon", "Einstein", "Mozart", "Shakespeare", "Newton", "Cleopatra", "Caesar", "Lincoln",
    "Beethoven", "Picasso", "Darwin", "Gandhi", "Marie Curie", "Plato", "Columbus", "Turing",
    "Homer", "the president", "the queen", "the pope", "Elvis", "Bach", "the king of Spain",
    "Ada Lovelace", "Galileo",
]  # fmt: skip
_TOPIC = [
    "love", "the sea", "winter", "autumn", "a dragon", "a cat", "my dog", "spring", "the moon",
    "a robot", "friendship", "the stars", "a princess", "football", "the rain", "coffee",
    "mountains", "a lost key", "time", "a horse", "the wind", "my mother", "birds", "a river",
    "a knight", "freedom", "the future", "summer", "night", "flowers",
]  # fmt: skip
_WORK = [
    "a poem", "a story", "a song", "an essay", "a joke", "a letter", "a haiku", "a short story",
    "a novel", "a rhyme", "a speech", "a limerick", "a fairy tale", "an article", "a blog post",
    "a summary", "lyrics", "a tale",
]  # fmt: skip
_LANG = [
    "French", "German", "Spanish", "Latin", "Chinese", "Italian", "Japanese", "Russian", "Dutch",
    "Polish", "Arabic", "Greek",
]  # fmt: skip
_CODE = [
    "Python", "Java", "C++", "Rust", "JavaScript", "SQL", "Go", "HTML", "bash", "Haskell", "PHP",
]  # fmt: skip
_TASK = [
    "sorts a list", "reverses a string", "prints hello world", "reads a file",
    "finds prime numbers", "opens a window", "parses JSON", "sends an email", "draws a circle",
    "computes a factorial", "plays a sound", "counts words",
]  # fmt: skip
_FOOD = [
    "pizza", "pancakes", "bread", "soup", "a cake", "pasta", "curry", "salad", "cookies", "rice",
    "an omelette", "lasagna", "sushi", "tea",
]  # fmt: skip
_EVENT = [
    "the second world war", "the french revolution", "the moon landing", "the fall of rome",
    "the cold war", "the renaissance", "the industrial revolution", "the first world war",
    "the big bang", "the ice age", "the last election", "the civil war",
]  # fmt: skip
_SCIENCE = [
    "gravity", "photosynthesis", "quantum physics", "black holes", "evolution", "DNA",
    "electricity", "relativity", "magnetism", "volcanoes", "earthquakes", "atoms",
    "the solar system", "inflation", "democracy", "philosophy", "economics", "chemistry",
    "biology", "music theory", "psychology", "the water cycle", "vaccines", "calculus", "algebra",
    "geometry", "religion", "politics",
]  # fmt: skip
_THING = [
    "a car", "a house", "a phone", "a bicycle", "shoes", "a guitar", "a plane ticket", "a hotel",
    "a computer", "a watch", "a camera", "a garden", "a boat", "a tree", "a book", "a movie",
    "a restaurant", "a gift",
]  # fmt: skip
_ANIMAL = [
    "elephants", "whales", "dogs", "cats", "bees", "penguins", "tigers", "snakes", "spiders",
    "horses", "sharks", "owls", "fish", "cows",
]  # fmt: skip

_TEMPLATES = [
    "what is the capital of {place}", "capital of {place}", "which city is the capital of {place}",
    "do you know the capital of {place}", "where is {place}", "how many people live in {place}",
    "tell me about {place}", "what language do they speak in {place}",
    "what is the weather in {place}", "how is the weather in {place} today",
    "will it rain in {place} tomorrow", "is it warm in {place}", "how far is {place}",
    "plan a trip to {place}", "who is the president of {place}", "what is the history of {place}",
    "what time is it in {place}", "what currency does {place} use",
    "how tall is the highest mountain in {place}", "who was {person}", "who is {person}",
    "when was {person} born", "what did {person} do", "tell me about {person}",
    "where did {person} live", "when did {person} die", "what is {person} famous for",
    "how old is {person}", "write {work} about {topic}", "write me {work} about {topic}",
    "write {work}", "can you write {work} about {topic}", "tell me {work} about {topic}",
    "I want {work} about {topic}", "please write {work} for {person}", "make up {work}",
    "give me {work} about {topic}", "compose {work}", "could you write {work} on {topic}",
    "I need {work} on {science}", "tell me a joke", "make me laugh", "sing a song",
    "tell me a story", "tell me something funny", "say something nice",
    "translate hello to {lang}", "how do you say {food} in {lang}", "translate this to {lang}",
    "do you speak {lang}", "say good morning in {lang}", "what is {food} in {lang}",
    "can you translate a text into {lang}", "write a {code} program that {task}",
    "write {code} code that {task}", "how do I learn {code}", "what is {code}",
    "debug my {code} code", "write a function in {code} that {task}", "can you code in {code}",
    "explain {code} to me", "fix this {code} error", "show me some {code} code",
    "how do I make {food}", "recipe for {food}", "how do I cook {food}",
    "what is a good recipe for {food}", "what should I eat", "is {food} healthy",
    "how many calories has {food}", "what goes into {food}", "when was {event}",
    "tell me about {event}", "who won {event}", "why did {event} happen", "what caused {event}",
    "explain {event}", "what year was {event}", "how did {event} end", "what is {science}",
    "explain {science}", "how does {science} work", "what do you know about {science}",
    "who discovered {science}", "tell me about {science}", "why is {science} important",
    "teach me {science}", "define {science}", "where can I buy {thing}",
    "which {thing} should I buy", "how much is {thing}", "find me {thing}", "book {thing} for me",
    "how do I repair {thing}", "what is the price of {thing}", "recommend {thing}",
    "describe {thing}", "draw {thing}", "paint me a picture of {topic}", "what do {animal} eat",
    "how long do {animal} live", "do {animal} sleep", "tell me about {animal}",
    "how fast are {animal}", "why do {animal} exist", "who won the game yesterday",
    "what is the news", "what happened today", "what day is it", "what time is it",
    "what is the date today", "what is the meaning of life", "is there a god",
    "who is the richest man", "what is the stock price of apple", "should I buy bitcoin",
    "do you like {food}", "what is your favourite colour", "what is your favourite {food}",
    "how tall is the eiffel tower", "why is the sky blue", "how many planets are there",
    "how far away is the sun", "what is the speed of light", "what is the largest ocean",
    "what is the square root of two", "solve this equation for me",
    "what is the derivative of x squared", "I have a headache", "what should I do about my cold",
    "am I ill", "can you give me legal advice", "can you book a flight",
    "send an email to my boss", "set an alarm for seven", "call my mother", "play some music",
    "turn on the light", "what movie should I watch", "which book should I read",
    "who wrote hamlet", "who painted the mona lisa", "what is my name", "how old am I",
    "where do I live", "what did I eat yesterday", "can you see me", "guess what I am thinking",
    "summarize this text", "correct my grammar", "help me with my homework", "write my thesis",
    "check my spelling", "give me life advice", "how do I lose weight", "how do I become rich",
    "how can I sleep better", "what should I wear", "how do I tie a tie", "should I marry",
    "what is the best football team", "how do I play chess", "let's play a game", "roll a dice",
    "flip a coin", "what are your hobbies", "how do I fix my {thing}", "how do I use photoshop",
    "how do I install windows", "how do I delete my facebook account", "what is kubernetes",
    "how do I use git", "how do I use excel", "what is the best phone",
    "how do I set up a printer", "what is the wifi password",
]  # fmt: skip


# The world is larger than these lists: strange words in everyday frames stand for the rest of it.
_FRAMES = [
    "what is the {x} of {y}", "who {x} the {y}", "how long should I {x} a {y}",
    "explain how {x} {y}", "draft a {x} for my {y}", "where can I {x} a {y}",
    "when did the {x} {y}", "why does {x} {y}", "who holds the {x} in {y}",
    "which {x} is the {y} of {x}", "compose a {x} on {y}", "suggest a nice {x} near the {y}",
    "what's the {x} point of {y}", "how do I {x} my {y}", "tell me about {x} and {y}",
    "in which year did {x} {y}", "render {x} in {y}", "what does {x} mean in {y}",
    "how many {x} are in a {y}", "how old is the {x}", "is {x} better than {y}",
    "write {x} about {y}", "what colour is a {x}", "do you like {x}",
]  # fmt: skip
_NOUNS = """
    egg record jump script photo restaurant harbour aunt uncle birthday greeting leaf verse
    opera wall town seat government river bridge doctor nurse teacher lawyer dentist kitchen
    spoon fork knife bread cheese wine beer tea milk sugar salt pepper potato tomato onion
    carrot lemon banana grape plum cherry shirt coat dress hat shoe sock glove ring necklace
    clock lamp table chair sofa carpet curtain mirror brush soap towel bath shower garden fence
    gate road street train bus ship plane ticket suitcase passport hotel beach island mountain
    valley desert forest lake ocean storm snow ice fire smoke dust gold silver iron copper
    mercury oxygen carbon planet comet galaxy rocket astronaut king queen prince castle sword
    shield war peace treaty law court judge police thief prison money bank coin tax market shop
    price job salary holiday school exam book letter poem novel author painter painting museum
    theatre film actor song singer guitar piano violin drum dance sport football tennis chess
    game player goal team medal horse cow pig sheep goat hen duck goose wolf bear fox lion eagle
    frog snake bee ant spider heart blood bone skin tooth eye ear nose mouth hand foot brain
    fever cough medicine hospital baby child boy girl wife husband brother sister cousin
    neighbour dog cat
""".split()  # noqa: SIM905 (a list literal would be a page long)
_VERBS = """
    boil cook bake fry roast paint draw build repair wash clean sell buy grow plant feed ride
    climb swim cross win lose write sing play invent discover treat cure
""".split()  # noqa: SIM905 (a list literal would be a page long)

_SYLLABLES = """
    ba cra den fin gro hin jor ka lum mer nos pli qua rin sto tel vor wex yol zan
""".split()  # noqa: SIM905


def _strange(rng: random.Random) -> str:
    if rng.random() < 0.25:
        return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3)))
    return rng.choice(_NOUNS if rng.random() < 0.75 else _VERBS)


def make_refusal(rng: random.Random) -> str:
    """One question outside of what pilot knows."""
    if rng.random() < 0.4:
        return rng.choice(_FRAMES).format(x=_strange(rng), y=_strange(rng))
    return rng.choice(_TEMPLATES).format(
        place=rng.choice(_PLACE),
        person=rng.choice(_PERSON),
        topic=rng.choice(_TOPIC),
        work=rng.choice(_WORK),
        lang=rng.choice(_LANG),
        code=rng.choice(_CODE),
        task=rng.choice(_TASK),
        food=rng.choice(_FOOD),
        event=rng.choice(_EVENT),
        science=rng.choice(_SCIENCE),
        thing=rng.choice(_THING),
        animal=rng.choice(_ANIMAL),
    )
