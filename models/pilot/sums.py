"""Small sums and counting: questions in many wordings, answers in one plain form.

Every wording of a sum is answered by the same line, `7 + 5 = 12`: the model first writes the sum
down in figures and then completes a line it has seen many times, so wording and arithmetic are
learnt apart.
"""

import random

ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
TENS = {
    2: "twenty", 3: "thirty", 4: "forty", 5: "fifty", 6: "sixty", 7: "seventy", 8: "eighty",
    9: "ninety",
}  # fmt: skip

_OPEN = [
    "", "", "", "what is ", "what's ", "how much is ", "calculate ", "compute ", "tell me ",
    "can you calculate ", "what do you get for ", "solve ", "work out ", "please calculate ",
    "do you know what ", "how many is ", "what does ", "say what ", "I need the result of ",
    "find ", "evaluate ",
]  # fmt: skip

_PLUS = [
    "{a} + {b}", "{a}+{b}", "{a} plus {b}", "{a} + {b} =", "{a}+{b}=", "{a} and {b}",
    "{a} added to {b}",
]  # fmt: skip
_PLUS_WHOLE = [
    "add {a} and {b}", "add {a} to {b}", "the sum of {a} and {b}",
    "what is the sum of {a} and {b}",
    "if I have {a} {things} and get {b} more, how many {things} do I have",
    "I have {a} {things} and buy {b} more. How many are there",
    "{a} {things} plus {b} {things}, how many {things}", "what do {a} and {b} make",
    "can you add {a} and {b}", "how much do I get when I add {a} and {b}",
    "what is {a} more than {b}", "{a} plus {b} equals",
    "there are {a} {things} here and {b} there, how many in all", "increase {a} by {b}",
    "what do {a} and {b} add up to",
]  # fmt: skip
_MINUS = [
    "{a} - {b}", "{a}-{b}", "{a} minus {b}", "{a} - {b} =", "{a}-{b}=", "{a} less {b}",
    "{a} take away {b}",
]  # fmt: skip
_MINUS_WHOLE = [
    "subtract {b} from {a}", "take {b} from {a}", "what is the difference between {a} and {b}",
    "{a} reduced by {b}", "I have {a} {things} and give away {b}, how many are left",
    "from {a} {things} I lose {b}. How many remain", "what is left of {a} when I take away {b}",
    "take {b} away from {a}", "{a} minus {b} equals", "deduct {b} from {a}",
    "how much is left if I take {b} off {a}", "the difference of {a} and {b}",
    "decrease {a} by {b}",
]  # fmt: skip
_TIMES = [
    "{a} * {b}", "{a}*{b}", "{a} times {b}", "{a} x {b}", "{a} * {b} =", "{a} multiplied by {b}",
    "{a}x{b}",
]  # fmt: skip
_TIMES_WHOLE = [
    "multiply {a} by {b}", "multiply {a} and {b}", "the product of {a} and {b}",
    "what is the product of {a} and {b}", "{a} bags with {b} {things} each, how many {things}",
    "I buy {a} boxes of {b} {things}. How many {things} do I have", "{a} times {b} equals",
    "what do you get when you multiply {a} by {b}", "{a} rows of {b} {things}, how many in all",
]  # fmt: skip
_THINGS = [
    "apples", "books", "models", "coins", "cups", "eggs", "pens", "stones", "cakes", "cats",
    "dogs", "balls", "cards", "oranges", "tokens", "files", "layers", "chairs",
]  # fmt: skip


def in_words(n: int) -> str:
    """`n` (0 to 100) in English words."""
    if n < 20:
        return ONES[n]
    if n == 100:
        return "one hundred"
    return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")


def _written(n: int, rng: random.Random, *, words: bool) -> str:
    text = in_words(n) if words else str(n)
    return text.replace("-", rng.choice(["-", " "])) if words else text


def _ask(a: int, b: int, short: list[str], whole: list[str], rng: random.Random) -> str:
    words = rng.random() < 0.35
    form = rng.choice(_OPEN) + rng.choice(short) if rng.random() < 0.68 else rng.choice(whole)
    if form.startswith(("what does ", "do you know what ", "say what ")):
        form = form.rstrip("= ") + (" make" if form.startswith("what does ") else " is")
    return form.format(
        a=_written(a, rng, words=words), b=_written(b, rng, words=words), things=rng.choice(_THINGS)
    )


def make_sum(rng: random.Random) -> tuple[str, str, str]:
    """A question, its answer and its brief answer. Sums and differences up to 20 and 20, products
    to 10 by 10.
    """
    kind = rng.random()
    if kind < 0.44:
        a, b = rng.randint(0, 20), rng.randint(0, 20)
        if rng.random() < 0.3:
            a, b = rng.randint(1, 10), rng.randint(1, 10)
        return _ask(a, b, _PLUS, _PLUS_WHOLE, rng), f"{a} + {b} = {a + b}", str(a + b)
    if kind < 0.76:
        a, b = rng.randint(0, 20), rng.randint(0, 20)
        if b > a and rng.random() < 0.75:
            a, b = b, a
        return _ask(a, b, _MINUS, _MINUS_WHOLE, rng), f"{a} - {b} = {a - b}", str(a - b)
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    return _ask(a, b, _TIMES, _TIMES_WHOLE, rng), f"{a} * {b} = {a * b}", str(a * b)


_UP_TO = [
    "count to {b}", "count up to {b}", "can you count to {b}", "please count to {b}",
    "count from 1 to {b}", "count from one to {b}", "say the numbers up to {b}",
    "the numbers from 1 to {b}", "list the numbers 1 to {b}", "count till {b}",
    "start counting and stop at {b}", "I want you to count to {b}", "count 1 to {b}",
    "numbers up to {b}", "show me how you count to {b}", "let me hear you count to {b}",
]  # fmt: skip
_FROM_TO = [
    "count from {a} to {b}", "count up from {a} to {b}", "please count from {a} to {b}",
    "say the numbers from {a} to {b}", "list the numbers between {a} and {b}",
    "numbers from {a} to {b}", "write the numbers {a} to {b}", "can you count from {a} up to {b}",
    "begin at {a} and count to {b}", "count {a} to {b}", "go from {a} to {b}",
]  # fmt: skip
_DOWN = [
    "count down from {a}", "count backwards from {a}", "countdown from {a}",
    "count down from {a} to 1", "please count down from {a}", "can you count backwards from {a}",
    "count from {a} down to 1", "a countdown from {a}", "count in reverse from {a}",
]  # fmt: skip
_DOWN_TO = [
    "count down from {a} to {b}", "count backwards from {a} to {b}", "count from {a} down to {b}",
    "numbers from {a} down to {b}", "go backwards from {a} to {b}",
]  # fmt: skip
_NEXT = [
    "what comes after {a}", "which number comes after {a}", "what number follows {a}",
    "what is the next number after {a}", "after {a} comes", "the number after {a}",
]  # fmt: skip
_BEFORE = [
    "what comes before {a}", "which number comes before {a}", "the number before {a}",
    "what number is before {a}",
]  # fmt: skip


def make_count(rng: random.Random) -> tuple[str, str, str]:
    """A request to count, with its answer twice: counting has no shorter form."""
    words = rng.random() < 0.4
    kind = rng.random()
    if kind < 0.38:
        b = rng.choice([rng.randint(2, 12), rng.randint(2, 20)])
        form, a, numbers = rng.choice(_UP_TO), 1, range(1, b + 1)
    elif kind < 0.64:
        a = rng.randint(0, 18)
        b = a + rng.randint(2, 10)
        form, numbers = rng.choice(_FROM_TO), range(a, b + 1)
    elif kind < 0.78:
        a, b = rng.randint(3, 15), 1
        form, numbers = rng.choice(_DOWN), range(a, 0, -1)
    elif kind < 0.88:
        b = rng.randint(0, 10)
        a = b + rng.randint(2, 8)
        form, numbers = rng.choice(_DOWN_TO), range(a, b - 1, -1)
    elif kind < 0.95:
        a = b = rng.randint(0, 29)
        form, numbers = rng.choice(_NEXT), range(a + 1, a + 2)
    else:
        a = b = rng.randint(1, 30)
        form, numbers = rng.choice(_BEFORE), range(a - 1, a)
    text = ", ".join(str(n) for n in numbers)
    return form.format(a=_written(a, rng, words=words), b=_written(b, rng, words=words)), text, text
