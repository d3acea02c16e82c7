"""Variety that belongs to no single question: synonyms, openings and endings, dropped words.

The fact sheet has about a thousand templates; people have more words than that. These tables multiply them,
so that the model learns which words carry the question and which do not.
"""

import random
import re

SYNONYMS: dict[str, list[str]] = {
    "see": ["view", "look at", "check", "find out", "get to see", "learn", "display", "look up", "examine"],
    "show": ["display", "print", "give me", "present", "tell me"],
    "list": ["show", "print", "display", "enumerate", "view"],
    "delete": ["remove", "erase", "get rid of", "wipe", "throw out", "trash", "ditch", "dispose of", "purge", "drop"],
    "remove": ["delete", "erase", "get rid of", "take away", "clear away", "dump", "kick out", "discard", "eliminate"],
    "download": ["fetch", "pull", "get", "grab", "retrieve", "acquire", "obtain", "pull down"],
    "pull": ["download", "fetch", "get", "grab", "retrieve", "pull down", "obtain"],
    "push": ["upload", "publish", "send", "put up", "release", "transfer"],
    "upload": ["push", "publish", "send up", "put online", "deliver"],
    "publish": ["push", "upload", "make available", "put out", "release"],
    "share": ["give", "pass on", "hand over", "distribute", "make available"],
    "run": ["start", "launch", "execute", "use", "fire up", "operate", "get going", "bring up", "work with"],
    "start": ["launch", "begin", "fire up", "boot", "kick off", "bring up", "get going", "turn on", "open", "power up"],
    "stop": ["halt", "end", "kill", "terminate", "shut down", "finish", "turn off", "quit", "bring down", "close"],
    "restart": ["reboot", "relaunch", "bounce", "start anew", "reset", "start over"],
    "leave": ["exit", "quit", "get out of", "close", "end", "go away from", "return from", "step out of"],
    "install": ["set up", "add", "put on", "get", "deploy", "bring in"],
    "uninstall": ["remove", "delete", "take off", "get rid of"],
    "change": ["modify", "alter", "adjust", "set", "edit", "switch", "tweak", "redefine"],
    "set": ["change", "choose", "specify", "define", "pick", "give"],
    "check": ["verify", "see", "test", "find out", "examine", "look", "inspect", "make sure", "control"],
    "find": ["discover", "locate", "look for", "look up", "get hold of", "spot", "come across"],
    "search": ["look", "hunt", "browse", "seek", "dig"],
    "measure": ["test", "time", "determine", "benchmark", "find out", "gauge"],
    "save": ["store", "write", "export", "put", "archive", "keep a copy of"],
    "use": ["employ", "work with", "take", "try", "make use of", "apply", "utilize"],
    "need": ["require", "want", "have to have", "must have", "depend on"],
    "explain": ["describe", "clarify", "tell me about", "shed light on", "walk me through", "go over", "elaborate on"],
    "difference": ["distinction", "contrast", "gap"],
    "recommend": ["suggest", "advise", "propose"],
    "recommended": ["suggested", "advised", "preferred", "sensible"],
    "fast": ["quick", "speedy", "rapid"], "faster": ["quicker", "speedier", "more quickly"],
    "slow": ["sluggish", "laggy", "crawling", "not fast", "painfully slow"],
    "big": ["large", "huge", "heavy"], "small": ["little", "tiny", "compact"],
    "best": ["ideal", "optimal", "top", "right", "most suitable"],
    "machine": ["computer", "PC", "laptop", "box", "server", "system", "hardware", "device", "workstation", "desktop", "notebook"],
    "computer": ["machine", "PC", "laptop", "box", "system", "desktop"],
    "disk": ["drive", "hard drive", "hard disk", "SSD", "storage"],
    "folder": ["directory", "place", "location", "path"],
    "file": ["document", "single file", "file on disk"],
    "files": ["data", "stuff", "items"],
    "memory": ["RAM", "memory space"],
    "GPU": ["graphics card", "video card", "gpu", "graphics processor", "card", "accelerator"],
    "CPU": ["processor", "cpu"],
    "daemon": ["server", "service", "background process", "background service", "runner", "stoker daemon"],
    "runner": ["daemon", "service", "server"],
    "command": ["instruction", "subcommand", "call", "invocation", "stoker command", "line"],
    "engine": ["backend", "runtime", "inference engine"], "engines": ["backends", "runtimes", "inference engines"],
    "model": ["LLM", "AI model", "language model", "neural net", "model of mine", "network"],
    "models": ["LLMs", "AI models", "language models", "neural networks", "weights"],
    "registry": ["OCI registry", "container registry", "model registry", "remote registry", "hub"],
    "problem": ["issue", "trouble", "error", "failure", "hiccup"],
    "error": ["problem", "failure", "message", "fault"],
    "answer": ["reply", "response", "output", "text"], "answers": ["replies", "responses", "output"],
    "chat": ["conversation", "session", "dialogue", "discussion", "prompt"],
    "message": ["prompt", "text", "input", "post"],
    "address": ["URL", "endpoint", "location"], "URL": ["address", "url", "endpoint", "link"],
    "port": ["TCP port", "port number"],
    "variable": ["env var", "environment setting", "environment variable"],
    "data": ["information", "text", "content", "conversation", "input", "messages"],
    "quantization": ["quant", "quantisation", "quantization level", "quant level", "precision"],
    "format": ["file format", "file type", "kind of file"],
    "users": ["people", "clients", "customers", "colleagues", "visitors", "callers"],
    "requests": ["calls", "queries", "prompts", "connections"],
    "concurrent": ["simultaneous", "parallel", "many at once"],
    "full": ["packed", "nearly full", "almost full", "filled up"],
    "broken": ["damaged", "corrupt", "faulty", "defective", "ruined"],
    "automatically": ["by itself", "on its own"],
    "another": ["a different", "some other", "a second", "one more"],
    "loaded": ["in memory", "active", "running", "up", "held in memory"],
    "now": ["at the moment", "currently", "at present", "this minute", "right now", "just now"],
    "much": ["a lot", "many gigabytes"],
    "without": ["with no", "lacking", "in the absence of"],
    "want to": ["would like to", "wish to", "have to", "am trying to", "intend to", "plan to", "hope to"],
    "how do I": ["how can I", "how would I", "how could I go about it: I want to", "what is the way to", "how am I supposed to", "in what way do I",
                 "by what means do I", "how would one", "which steps do I take to", "how does somebody", "what would I enter to"],
    "what is": ["what's", "what might be", "could you say what is", "tell me what is", "what exactly is"],
    "which": ["what", "which one of the"],
}  # fmt: skip

_LEADS = [
    "my boss wants to know:", "I have a laptop with 16 GB of memory.", "I am a beginner.", "I just installed stoker yesterday.", "I read the manual, but", "a friend asks:",
    "I was wondering,", "tell me,", "out of curiosity,", "my colleague told me to ask you:", "here is my question:", "I can't remember:", "I am on linux.", "I use a mac.",
    "we have a server at work.", "I am stuck.", "this is confusing.", "maybe you can help.", "I hope you can help me.", "good morning,", "hello!", "hey there,", "listen,",
    "I have tried everything.", "for my project:", "be honest:", "in a nutshell,", "just to be sure:", "I've been reading about this.", "sorry to bother you,", "you know,",
    "forgive my ignorance, but", "as a newcomer I ask:", "my teacher asked:", "someone asked me", "I am sitting at my terminal.", "say,", "please help:", "I'm lost.",
    "I need this for work.", "we talked about this at lunch.", "not sure who to ask, so:", "one thing I don't get:", "okay, next topic:", "first of all,", "before I forget:",
    "suppose I am new here.", "let's say I am at home.", "my machine is a small one.", "I own a desktop with an RTX card.", "I work with a team of ten people.",
    "you seem to know a lot.", "I saw this in a video.", "mind telling me:", "would you tell me,", "could you help me out:", "be so kind:", "I'd appreciate it:",
    "never mind the last one.", "thanks for that.", "great.", "nice.", "fine,", "cool,", "right,", "alright,", "good,", "perfect.", "interesting.", "ah, I see.", "hm,",
]  # fmt: skip
_TAILS = [
    "on my laptop", "on our server", "at work", "at home", "tonight", "today", "for the weekend", "in the terminal", "from the command line", "step by step", "in one line", "if possible",
    "without breaking anything", "as fast as possible", "I need it soon", "can you help", "any idea", "any hint is welcome", "I could not find it", "that would be great",
    "what would you say", "please tell me", "do tell", "in your opinion", "in practice", "roughly", "in detail", "in plain words", "for a beginner", "as simply as you can",
    "on linux", "on a mac", "on this box", "once and for all", "and nothing else", "for real", "after all", "in general", "most of the time", "when I am in a hurry", "just like that",
    "somehow", "by hand", "with one command", "for my team", "for the night", "before the meeting", "later on", "afterwards", "these days", "you know", "right", "thanks in advance",
    "thank you", "my friend", "dear pilot", "buddy", "mate", "help", "what now", "what do I do", "how does that work", "I am curious", "I'd like to know", "tell me",
]  # fmt: skip
_SMALL_WORDS = {"the", "a", "an", "do", "does", "is", "are", "to", "of", "my", "me", "please", "can", "you", "it", "for", "from", "on", "in"}

# What is part of a command's name is literal: no synonym for it.
_PATTERN = re.compile(
    r"(?<![\w`/-])(?<!docker )(?<!stoker )(?<!command )("
    + "|".join(sorted((re.escape(word) for word in SYNONYMS), key=len, reverse=True))
    + r")(?![\w`/-])(?! command)"
)


def vary(text: str, rng: random.Random) -> str:
    """`text` in other words: synonyms, an opening or an ending, small words left out. The question stays the same."""
    if "`" not in text and rng.random() < 0.45:
        share = rng.choice([0.3, 0.5, 0.8])
        text = _PATTERN.sub(lambda m: rng.choice(SYNONYMS[m[1]]) if rng.random() < share else m[1], text)
    if rng.random() < 0.08:
        words = text.split(" ")
        if len(words) > 4:
            text = " ".join(word for word in words if word not in _SMALL_WORDS or rng.random() < 0.4)
    return surround(text, rng)


def surround(text: str, rng: random.Random) -> str:
    """`text` with an opening or an ending, sometimes."""
    chance = rng.random()
    if chance < 0.12:
        return f"{rng.choice(_LEADS)} {text}"
    if chance < 0.22:
        return f"{text.rstrip('?')}{rng.choice([' ', ' ', ', ', ': ', '? ', ' - '])}{rng.choice(_TAILS)}"
    return text
