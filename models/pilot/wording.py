"""Variety that belongs to no single question: synonyms, openings and endings, dropped words.

The fact sheet has about a thousand templates; people have more words than that. These tables
multiply them, so that the model learns which words carry the question and which do not.
"""

import random
import re

SYNONYMS: dict[str, list[str]] = {
    "see": [
        "view", "look at", "check", "find out", "get to see", "learn", "display", "look up",
        "examine",
    ],
    "show": ["display", "print", "give me", "present", "tell me"],
    "list": ["show", "print", "display", "enumerate", "view"],
    "delete": [
        "remove", "erase", "get rid of", "wipe", "throw out", "trash", "ditch", "dispose of",
        "purge", "drop",
    ],
    "remove": [
        "delete", "erase", "get rid of", "take away", "clear away", "dump", "kick out", "discard",
        "eliminate",
    ],
    "download": ["fetch", "pull", "get", "grab", "retrieve", "acquire", "obtain", "pull down"],
    "pull": ["download", "fetch", "get", "grab", "retrieve", "pull down", "obtain"],
    "push": ["upload", "publish", "send", "put up", "release", "transfer"],
    "upload": ["push", "publish", "send up", "put online", "deliver"],
    "publish": ["push", "upload", "make available", "put out", "release"],
    "share": ["give", "pass on", "hand over", "distribute", "make available"],
    "run": [
        "start", "launch", "execute", "use", "fire up", "operate", "get going", "bring up",
        "work with",
    ],
    "start": [
        "launch", "begin", "fire up", "boot", "kick off", "bring up", "get going", "turn on",
        "open", "power up",
    ],
    "stop": [
        "halt", "end", "kill", "terminate", "shut down", "finish", "turn off", "quit",
        "bring down", "close",
    ],
    "restart": ["reboot", "relaunch", "bounce", "start anew", "reset", "start over"],
    "leave": [
        "exit", "quit", "get out of", "close", "end", "go away from", "return from", "step out of",
    ],
    "install": ["set up", "add", "put on", "get", "deploy", "bring in"],
    "uninstall": ["remove", "delete", "take off", "get rid of"],
    "change": ["modify", "alter", "adjust", "set", "edit", "switch", "tweak", "redefine"],
    "set": ["change", "choose", "specify", "define", "pick", "give"],
    "check": [
        "verify", "see", "test", "find out", "examine", "look", "inspect", "make sure", "control",
    ],
    "find": ["discover", "locate", "look for", "look up", "get hold of", "spot", "come across"],
    "search": ["look", "hunt", "browse", "seek", "dig"],
    "measure": ["test", "time", "determine", "benchmark", "find out", "gauge"],
    "save": ["store", "write", "export", "put", "archive", "keep a copy of"],
    "use": ["employ", "work with", "take", "try", "make use of", "apply", "utilize"],
    "need": ["require", "want", "have to have", "must have", "depend on"],
    "explain": [
        "describe", "clarify", "tell me about", "shed light on", "walk me through", "go over",
        "elaborate on",
    ],
    "difference": ["distinction", "contrast", "gap"],
    "recommend": ["suggest", "advise", "propose"],
    "recommended": ["suggested", "advised", "preferred", "sensible"],
    "fast": ["quick", "speedy", "rapid"], "faster": ["quicker", "speedier", "more quickly"],
    "slow": ["sluggish", "laggy", "crawling", "not fast", "painfully slow"],
    "big": ["large", "huge", "heavy"], "small": ["little", "tiny", "compact"],
    "best": ["ideal", "optimal", "top", "right", "most suitable"],
    "machine": [
        "computer", "PC", "laptop", "box", "server", "system", "hardware", "device", "workstation",
        "desktop", "notebook",
    ],
    "computer": ["machine", "PC", "laptop", "box", "system", "desktop"],
    "disk": ["drive", "hard drive", "hard disk", "SSD", "storage"],
    "folder": ["directory", "place", "location", "path"],
    "file": ["document", "single file", "file on disk"], "files": ["data", "stuff", "items"],
    "memory": ["RAM", "memory space"],
    "GPU": ["graphics card", "video card", "gpu", "graphics processor", "card", "accelerator"],
    "CPU": ["processor", "cpu"],
    "daemon": [
        "server", "service", "background process", "background service", "runner", "stoker daemon",
    ],
    "runner": ["daemon", "service", "server"],
    "command": ["instruction", "subcommand", "call", "invocation", "stoker command", "line"],
    "engine": ["backend", "runtime", "inference engine"],
    "engines": ["backends", "runtimes", "inference engines"],
    "model": ["LLM", "AI model", "language model", "neural net", "model of mine", "network"],
    "models": ["LLMs", "AI models", "language models", "neural networks", "weights"],
    "registry": ["OCI registry", "container registry", "model registry", "remote registry", "hub"],
    "problem": ["issue", "trouble", "error", "failure", "hiccup"],
    "error": ["problem", "failure", "message", "fault"],
    "answer": ["reply", "response", "output", "text"],
    "answers": ["replies", "responses", "output"],
    "chat": ["conversation", "session", "dialogue", "discussion", "prompt"],
    "message": ["prompt", "text", "input", "post"], "address": ["URL", "endpoint", "location"],
    "URL": ["address", "url", "endpoint", "link"], "port": ["TCP port", "port number"],
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
    "much": ["a lot", "many gigabytes"], "without": ["with no", "lacking", "in the absence of"],
    "want to": [
        "would like to", "wish to", "have to", "am trying to", "intend to", "plan to", "hope to",
    ],
    "how do I": [
        "how can I", "how would I", "how could I go about it: I want to", "what is the way to",
        "how am I supposed to", "in what way do I", "by what means do I", "how would one",
        "which steps do I take to", "how does somebody", "what would I enter to",
    ],
    "what is": [
        "what's", "what might be", "could you say what is", "tell me what is", "what exactly is",
    ],
    "which": ["what", "which one of the"],
}  # fmt: skip

_MORE_SYNONYMS = {
    "see": "observe,survey,inspect,verify,discover,read,watch,view",
    "show": "reveal,report,expose,enumerate,spell out,name",
    "list": "enumerate,survey,name,report,overview of,catalogue",
    "delete": "eradicate,scrap,unlink,destroy,clear,eliminate,toss,bin,zap",
    "remove": "eradicate,scrap,destroy,clear,toss,bin,strip,banish",
    "download": "procure,collect,transfer,secure,load down,copy over",
    "pull": "procure,collect,acquire,draw,copy",
    "push": "deposit,submit,ship,deploy,contribute,distribute",
    "publish": "ship,distribute,deploy,submit,deposit",
    "run": "invoke,spin up,activate,call up,play with,serve,boot",
    "start": "spin up,activate,initiate,bring to life,trigger,switch on,set going,run",
    "stop": "cancel,abort,cease,deactivate,switch off,break,stop,disable,interrupt,suspend",
    "restart": "recycle,cycle,reinitialize,revive,refresh",
    "leave": "depart,finish,terminate,stop,abandon,sign off from,walk out of",
    "install": "provision,integrate,introduce,enable,bring",
    "change": "enlarge,extend,update,customize,tune,rearrange",
    "set": "raise,extend,enlarge,fix,assign,configure,determine",
    "check": "audit,scan,confirm,monitor,assess,validate,determine,tell",
    "find": "detect,identify,track down,turn up,hunt for,see",
    "search": "lookup,query,explore,scan", "measure": "evaluate,assess,clock,quantify,estimate",
    "save": "pack up,bundle,preserve,dump,back up,stash",
    "use": "exploit,utilise,run,deal with,leverage,handle",
    "explain": "outline,define,illustrate,sketch,summarize,interpret",
    "slow": "lazy,sluggish,taking long,taking ages,not quick,lagging",
    "big": "massive,enormous,sizable,giant,bulky", "small": "mini,minimal,modest,short,slim",
    "fast": "swift,snappy,performant,brisk",
    "best": "favourite,smartest,finest,wisest,good,decent,proper",
    "machine": "host,node,rig,Mac,tower,equipment,environment,setup,platform",
    "computer": "host,node,rig,Mac,tower",
    "disk": "SSD,volume,partition,hard disk,filesystem,medium",
    "folder": "dir,tree,spot,area,subfolder,location",
    "memory": "RAM,main memory,video memory,working memory,gigabytes",
    "GPU": "graphics unit,graphics hardware,GPU card,video adapter,graphics chip",
    "CPU": "processor cores,main processor,CPU cores,plain processor",
    "daemon": "background job,server process,stoker service,stoker server,process,demon",
    "command": "syntax,command line,keyword,verb,statement,terminal command",
    "engine": "inference backend,inference software,executor,inference server,driver",
    "engines": "inference backends,inference servers,executors,drivers",
    "model": "LLM,checkpoint,AI,transformer,assistant,gpt,brain",
    "models": "LLMs,checkpoints,AIs,transformers,assistants,gpts",
    "registry": "repository,registry server,artifact store,image registry",
    "problem": "crash,malfunction,defect,mishap,mess,bug",
    "error": "exception,crash,alert,warning,complaint",
    "answer": "generation,output,speech,stream,talk,text",
    "chat": "talk,interactive mode,interactive session,console",
    "message": "question,query,paragraph,note,entry",
    "address": "location,place,base,target,link,host",
    "URL": "web address,location,base address,HTTP address,host",
    "variable": "env variable,environment value,setting",
    "data": "words,prompts,secrets,documents,chats,files,texts",
    "quantization": "bit width,compression level,quantisation level,q level",
    "format": "layout,file kind,container format,extension",
    "users": "guests,employees,students,persons,folks,consumers",
    "requests": "inquiries,sessions,tasks,jobs,chats",
    "concurrent": "overlapping,in parallel,at the same moment",
    "full": "exhausted,used up,out of space,stuffed,overflowing",
    "broken": "bad,invalid,spoiled,damaged beyond repair,unusable,rotten",
    "loaded": "resident,live,in use,present in memory,occupying memory,hot",
    "now": "presently,these days,as of now,this second,today",
    "need": "demand,depend upon,call for,insist on",
    "unload": "release,evict,free,expel,drop,flush",
    "free": "release,reclaim,liberate,recover,clean", "tag": "label,alias,mark,name",
    "version": "release,build,edition,revision",
    "speed": "throughput,pace,velocity,rate,performance,quickness",
    "private": "confidential,secret,safe,protected,secure",
    "offline": "disconnected,without connection,without a router,off the grid,with no web access",
    "internet": "web,network,wifi,connection,net",
    "unloaded": "evicted,released,dropped,freed,removed from memory,kicked out,expelled",
    "idle": "unused,inactive,sleeping,untouched,quiet",
    "written": "programmed,coded,implemented,developed,created",
    "supported": "accepted,possible,usable,recognized,allowed,compatible",
    "support": "accept,handle,understand,recognize,allow,speak",
    "work": "function,operate,run,succeed,go",
    "stored": "saved,kept,put,placed,held,located,archived", "layers": "blocks,model layers,parts",
    "fit": "go,squeeze,have room,find room,be accommodated",
    "fits": "goes,has room,finds room,matches",
    "interrupted": "cut off,aborted,halted,disrupted,broken off,killed",
    "damaged": "corrupted,faulty,tampered with,spoilt,harmed,invalid",
    "verify": "validate,confirm,audit,scan,prove",
    "default": "standard,preset,normal,usual,automatic",
    "bigger": "larger,greater,stronger,smarter,more powerful",
    "smaller": "tinier,lighter,littler,more compact",
    "connect": "attach,link up,hook up,talk,plug in,join",
    "reach": "contact,access,find,get to,call", "crash": "die,break,fall over,abort,explode",
    "crashes": "dies,breaks,falls over,aborts,explodes",
    "fails": "breaks,dies,goes wrong,refuses,aborts",
    "package": "pack,bundle,wrap,convert,assemble", "suggest": "advise,propose,recommend,name",
    "team": "department,group,crew,company", "wrong": "off,broken,odd,strange,amiss,not right",
    "many": "lots of,a lot of,dozens of,hundreds of,plenty of,numerous",
    "difference": "comparison,differences", "several": "multiple,many,a few,more than one",
    "lines": "rows,paragraphs,line breaks",
    "details": "particulars,facts,information,properties,data",
    "context": "context window,prompt space,attention window,window",
}  # fmt: skip
for _word, _others in _MORE_SYNONYMS.items():
    SYNONYMS.setdefault(_word, []).extend(_others.split(","))

_LEADS = [
    "my boss wants to know:", "I have a laptop with 16 GB of memory.", "I am a beginner.",
    "I just installed stoker yesterday.", "I read the manual, but", "a friend asks:",
    "I was wondering,", "tell me,", "out of curiosity,", "my colleague told me to ask you:",
    "here is my question:", "I can't remember:", "I am on linux.", "I use a mac.",
    "we have a server at work.", "I am stuck.", "this is confusing.", "maybe you can help.",
    "I hope you can help me.", "good morning,", "hello!", "hey there,", "listen,",
    "I have tried everything.", "for my project:", "be honest:", "in a nutshell,",
    "just to be sure:", "I've been reading about this.", "sorry to bother you,", "you know,",
    "forgive my ignorance, but", "as a newcomer I ask:", "my teacher asked:", "someone asked me",
    "I am sitting at my terminal.", "say,", "please help:", "I'm lost.", "I need this for work.",
    "we talked about this at lunch.", "not sure who to ask, so:", "one thing I don't get:",
    "okay, next topic:", "first of all,", "before I forget:", "suppose I am new here.",
    "let's say I am at home.", "my machine is a small one.", "I own a desktop with an RTX card.",
    "I work with a team of ten people.", "you seem to know a lot.", "I saw this in a video.",
    "mind telling me:", "would you tell me,", "could you help me out:", "be so kind:",
    "I'd appreciate it:", "never mind the last one.", "thanks for that.", "great.", "nice.",
    "fine,", "cool,", "right,", "alright,", "good,", "perfect.", "interesting.", "ah, I see.",
    "hm,",
]  # fmt: skip
_TAILS = [
    "on my laptop", "on our server", "at work", "at home", "tonight", "today", "for the weekend",
    "in the terminal", "from the command line", "step by step", "in one line", "if possible",
    "without breaking anything", "as fast as possible", "I need it soon", "can you help",
    "any idea", "any hint is welcome", "I could not find it", "that would be great",
    "what would you say", "please tell me", "do tell", "in your opinion", "in practice", "roughly",
    "in detail", "in plain words", "for a beginner", "as simply as you can", "on linux",
    "on a mac", "on this box", "once and for all", "and nothing else", "for real", "after all",
    "in general", "most of the time", "when I am in a hurry", "just like that", "somehow",
    "by hand", "with one command", "for my team", "for the night", "before the meeting",
    "later on", "afterwards", "these days", "you know", "right", "thanks in advance", "thank you",
    "my friend", "dear pilot", "buddy", "mate", "help", "what now", "what do I do",
    "how does that work", "I am curious", "I'd like to know", "tell me",
]  # fmt: skip
_SMALL_WORDS = {
    "the", "a", "an", "do", "does", "is", "are", "to", "of", "my", "me", "please", "can", "you",
    "it", "for", "from", "on", "in",
}  # fmt: skip

# What is part of a command's name is literal: no synonym for it.
_PATTERN = re.compile(
    r"(?<![\w`/-])(?<!docker )(?<!stoker )(?<!command )("
    + "|".join(sorted((re.escape(word) for word in SYNONYMS), key=len, reverse=True))
    + r")(?![\w`/-])(?! command)"
)


def vary(text: str, rng: random.Random) -> str:
    """`text` in other words: synonyms, an opening or an ending, small words left out. The question
    stays the same.
    """
    if "`" not in text and rng.random() < 0.45:
        share = rng.choice([0.3, 0.5, 0.8])
        text = _PATTERN.sub(
            lambda m: rng.choice(SYNONYMS[m[1]]) if rng.random() < share else m[1],
            text,
        )
    if rng.random() < 0.08:
        words = text.split(" ")
        if len(words) > 4:
            text = " ".join(
                (word for word in words if word not in _SMALL_WORDS or rng.random() < 0.4),
            )
    return surround(text, rng)


def surround(text: str, rng: random.Random) -> str:
    """`text` with an opening or an ending, sometimes."""
    chance = rng.random()
    if chance < 0.12:
        return f"{rng.choice(_LEADS)} {text}"
    if chance < 0.22:
        joint = rng.choice([" ", " ", ", ", ": ", "? ", " - "])
        return f"{text.rstrip('?')}{joint}{rng.choice(_TAILS)}"
    return text


# Words that carry no question of their own: the model learns to look past them.
_FILLERS = """
    actually really just simply maybe perhaps probably kindly quickly properly exactly basically
    please now today tell give want need wish like would could should may might must can will
    shall let make get take put have keep know think say ask wonder figure guess suppose assume
    mean consider understand imagine expect prefer hope thing things stuff way ways manner
    approach method trick option options possibility place time moment point matter case
    situation question word words name term idea detail details bit lot kind sort type part side
    end syntax line entry step steps procedure instruction tool utility feature function setting
    thing program software good great nice easy simple quick proper correct right wrong new old
    own certain specific particular given whole some any every each all both such same other one
    two first last next previous main local current available what which who where when why how
    whether if that this these those there here it its my your our their me you us do does did
    done is are was were be been being has had of for to from by with on in at into onto over
    under about after before while until since because so then than but or and not also too very
    much more most less only even still already yet again always never often sometimes usually
    suddenly finally currently anyway somehow somewhere someone somebody anyone anybody people
    friend colleague boss team company office home desk school student person happen happens
    work works go goes going come comes turn try tries call calls type enter press choose pick
    decide required necessary possible allowed supposed meant able sure clear unsure curious
    confused stuck lost tired busy result effect reason purpose goal job task role meaning
    advice hint tip example answer help support information me, well, look, hey, ok, um hmm huh
    alright fine cool thanks sorry honestly frankly generally technically
""".split()  # noqa: SIM905 (a list literal would be a page long)
_BITS = """
    ba be bo cra da den dri el fa fin ga gro ha hin im jo ka ker la lin ma mor na ner o pa pre
    qui ra ri sa sho ta tri u va ver wa wi xe ya zo
""".split()  # noqa: SIM905 (a list literal would be a page long)


def soup(text: str, rng: random.Random) -> str:
    """`text` with its small words thinned out and strange ones strewn in; the rest carries it."""
    out = []
    keep, strew = rng.choice([0.15, 0.4, 0.8]), rng.choice([0.15, 0.35, 0.6])
    for word in text.rstrip("?.!").split(" "):
        if rng.random() < strew:
            out.append(_strange(rng))
        if word.lower() not in _FILLER_SET or rng.random() < keep:
            out.append(word)
    while rng.random() < strew:
        out.append(_strange(rng))
    return " ".join(out) or text


def _strange(rng: random.Random) -> str:
    if rng.random() < 0.12:
        return "".join(rng.choice(_BITS) for _ in range(rng.randint(2, 3)))
    return rng.choice(_FILLERS)


_FILLER_SET = set(_FILLERS) | _SMALL_WORDS
