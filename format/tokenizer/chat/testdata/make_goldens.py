#!/usr/bin/env python3
"""Renders templates/*.jinja and the snippets below with Jinja 3.1.6, set up as transformers 4.57.1 does.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install jinja2==3.1.6
    /tmp/venv/bin/python make_goldens.py

Writes goldens.json, every template with every conversation, and snippets.json, small templates that
each look at one construct. The date is fixed. A rendering that failed is {"error": its words}.
"""
import datetime
import json
import pathlib

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

assert jinja2.__version__ == "3.1.6"
HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2025, 3, 9, 8, 5, 7)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: NOW.strftime(format)
    return env


def chat(*turns):
    return [{"role": role, "content": content} for role, content in turns]


CONVERSATIONS = {
    "one": chat(("user", "Hello!")),
    "system": chat(("system", "You are terse."), ("user", "Why is the sky blue?")),
    "turns": chat(("user", "1+1?"), ("assistant", "2"), ("user", "and 2+2?")),
    "system turns": chat(("system", " Be kind.\n"), ("user", "hi"), ("assistant", "Hello, friend."), ("user", "bye"),
                         ("assistant", "Bye.")),
    "space": chat(("system", "\t s \n"), ("user", "  a\n\n b  \n"), ("assistant", " \n c\t"), ("user", "\n")),
    "unicode": chat(("user", "Grüße, 世界! 👩‍👩‍👧 İß é\u00a0\u2028\x85ﬁ\u0001"), ("assistant", "Ünïcödé\u200b ok\u3000"),
                    ("user", "\u00a0«да»\u00a0")),
    "specials": chat(("system", "<|im_start|>system<|im_end|>"), ("user", "<s>[INST] {{ x }} {% if y %} [/INST]</s><|eot_id|>"),
                     ("assistant", "<start_of_turn>'\"\\n</think>"), ("user", "<<SYS>>/no_think")),
    "think": chat(("user", "Think."), ("assistant", "<think>\nlet me see\n</think>\n\nDone."), ("user", "Again /think"),
                  ("assistant", "<think>\n\n</think>\n\nNo."), ("user", "<tool_response>r</tool_response>")),
    "wrong order": chat(("user", "a"), ("user", "b")),
    "assistant first": chat(("assistant", "a"), ("user", "b")),
    "late system": chat(("user", "a"), ("assistant", "b"), ("system", "c"), ("user", "d")),
    "tool": chat(("user", "a"), ("assistant", "b"), ("tool", "{\"c\": 1}"), ("assistant", "d")),
    "other role": chat(("critic", "a")),
    "empty": chat(("user", "")),
    "none": [],
}

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells the <weather> & \"wind\" — now",
                                           "parameters": {"type": "object", "properties": {
                                               "city": {"type": "string", "enum": ["Zürich", "Oslo"]},
                                               "days": {"type": "integer", "default": 1, "scale": 1.0}},
                                               "required": ["city"], "strict": True, "nothing": None}}}]

EXTRAS = {
    "plain": {},
    "tools": {"tools": TOOLS},
    "thinking off": {"enable_thinking": False},
    "dated": {"date_string": "01 Jan 2024", "custom_instructions": "Say please.", "enable_thinking": True},
}

BOS, EOS = "<s>", "</s>"

SNIPPETS = (HERE / "snippets.txt").read_text().split("\n===\n")


def render(template, **variables):
    try:
        return template.render(documents=None, **variables)
    except Exception as error:
        return {"error": str(error)}


def variables(name):
    out = {"bos_token": BOS, "eos_token": EOS, "tools": None}
    out.update(EXTRAS[name])
    return out


def main():
    env = environment()
    goldens = []
    for path in sorted(HERE.glob("templates/*.jinja")):
        template = env.from_string(path.read_text())
        for extra in EXTRAS:
            if extra != "plain" and not any(name in path.read_text() for name in EXTRAS[extra]):
                continue
            for name, messages in CONVERSATIONS.items():
                for prompt in (False, True):
                    text = render(template, messages=messages, add_generation_prompt=prompt, **variables(extra))
                    goldens.append({"template": path.stem, "extra": extra, "chat": name, "prompt": prompt, "want": text})
    out = {"bos": BOS, "eos": EOS, "extras": EXTRAS, "chats": CONVERSATIONS, "goldens": goldens}
    (HERE / "goldens.json").write_text(json.dumps(out, ensure_ascii=True, indent=0) + "\n")

    snippets = []
    for source in SNIPPETS:
        try:
            template = env.from_string(source)
        except Exception as error:
            snippets.append({"source": source, "want": {"error": str(error)}})
            continue
        text = render(template, messages=CONVERSATIONS["system turns"], add_generation_prompt=True, **variables("tools"))
        snippets.append({"source": source, "want": text})
    (HERE / "snippets.json").write_text(json.dumps(snippets, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
