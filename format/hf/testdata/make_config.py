"""Makes what the reader of config.json is held to.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0
  /tmp/venv/bin/python format/hf/testdata/make_config.py

config_documents.json: odd documents, and what Python reads from a file with each, as transformers does.

config_keys.json: for each supported family, the keys of config.json that transformers reads, and where; its
default for each; and the names that mean another key. Also the names of activations, and the
values of model_type that make logits. No model is built: the sources of transformers are parsed. Beginning with the class that makes logits and
with the configuration's class, every class and function that these mention is followed, within the
family's files and the shared ones of SHARED. There, a key is read by

  config.KEY, self.config.KEY, getattr(config, "KEY"), hasattr(config, "KEY")
  self.KEY in a method of the configuration's class or of what it derives from
  kwargs.pop("KEY"), kwargs.get("KEY"), "KEY" in kwargs: there too
  rope_parameters["KEY"], .get("KEY"), .setdefault("KEY"): read as rope_parameters.KEY

"keys" has the places in the family's own files, "shared" the keys that shared files read, with "where" for all
families. A key that the class declares and nothing reads has no places.
"""

import ast
import base64
import dataclasses
import importlib
import json
import pathlib
import tempfile

import transformers

assert transformers.__version__ == "5.24.0", transformers.__version__

ROOT = pathlib.Path(transformers.__file__).parent
OUT = pathlib.Path(__file__).parent

# model_type: (directory, configuration, class that makes logits)
FAMILIES = {
    "llama": ("llama", "LlamaConfig", "LlamaForCausalLM"),
    "mistral": ("mistral", "MistralConfig", "MistralForCausalLM"),
    "mixtral": ("mixtral", "MixtralConfig", "MixtralForCausalLM"),
    "qwen2": ("qwen2", "Qwen2Config", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3Config", "Qwen3ForCausalLM"),
    "qwen3_moe": ("qwen3_moe", "Qwen3MoeConfig", "Qwen3MoeForCausalLM"),
    "gemma2": ("gemma2", "Gemma2Config", "Gemma2ForCausalLM"),
    "gemma3_text": ("gemma3", "Gemma3TextConfig", "Gemma3ForCausalLM"),
    "phi3": ("phi3", "Phi3Config", "Phi3ForCausalLM"),
    "llama4_text": ("llama4", "Llama4TextConfig", "Llama4ForCausalLM"),
    "gpt2": ("gpt2", "GPT2Config", "GPT2LMHeadModel"),
    "olmo2": ("olmo2", "Olmo2Config", "Olmo2ForCausalLM"),
    "smollm3": ("smollm3", "SmolLM3Config", "SmolLM3ForCausalLM"),
    "granite": ("granite", "GraniteConfig", "GraniteForCausalLM"),
    "starcoder2": ("starcoder2", "Starcoder2Config", "Starcoder2ForCausalLM"),
    "gpt_neox": ("gpt_neox", "GPTNeoXConfig", "GPTNeoXForCausalLM"),
    "gemma": ("gemma", "GemmaConfig", "GemmaForCausalLM"),
    "glm": ("glm", "GlmConfig", "GlmForCausalLM"),
    "glm4": ("glm4", "Glm4Config", "Glm4ForCausalLM"),
    "seed_oss": ("seed_oss", "SeedOssConfig", "SeedOssForCausalLM"),
    "ernie4_5": ("ernie4_5", "Ernie4_5Config", "Ernie4_5ForCausalLM"),
    "exaone4": ("exaone4", "Exaone4Config", "Exaone4ForCausalLM"),
    "olmo3": ("olmo3", "Olmo3Config", "Olmo3ForCausalLM"),
    "granitemoe": ("granitemoe", "GraniteMoeConfig", "GraniteMoeForCausalLM"),
    "ministral3": ("ministral3", "Ministral3Config", "Ministral3ForCausalLM"),
    "qwen2_vl_text": ("qwen2_vl", "Qwen2VLTextConfig", "Qwen2VLTextModel"),
    "qwen2_5_vl_text": ("qwen2_5_vl", "Qwen2_5_VLTextConfig", "Qwen2_5_VLTextModel"),
    "qwen3_vl_text": ("qwen3_vl", "Qwen3VLTextConfig", "Qwen3VLTextModel"),
    "qwen3_vl_moe_text": ("qwen3_vl_moe", "Qwen3VLMoeTextConfig", "Qwen3VLMoeTextModel"),
    "olmo": ("olmo", "OlmoConfig", "OlmoForCausalLM"),
    "phi": ("phi", "PhiConfig", "PhiForCausalLM"),
    "gptj": ("gptj", "GPTJConfig", "GPTJForCausalLM"),
    "gpt_neo": ("gpt_neo", "GPTNeoConfig", "GPTNeoForCausalLM"),
    "gpt_bigcode": ("gpt_bigcode", "GPTBigCodeConfig", "GPTBigCodeForCausalLM"),
    "opt": ("opt", "OPTConfig", "OPTForCausalLM"),
    "stablelm": ("stablelm", "StableLmConfig", "StableLmForCausalLM"),
    "cohere": ("cohere", "CohereConfig", "CohereForCausalLM"),
    "cohere2": ("cohere2", "Cohere2Config", "Cohere2ForCausalLM"),
    "falcon": ("falcon", "FalconConfig", "FalconForCausalLM"),
    "nemotron": ("nemotron", "NemotronConfig", "NemotronForCausalLM"),
    "olmoe": ("olmoe", "OlmoeConfig", "OlmoeForCausalLM"),
    "granitemoehybrid": ("granitemoehybrid", "GraniteMoeHybridConfig", "GraniteMoeHybridForCausalLM"),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", "HunYuanDenseV1Config", "HunYuanDenseV1ForCausalLM"),
    "bloom": ("bloom", "BloomConfig", "BloomForCausalLM"),
    "mpt": ("mpt", "MptConfig", "MptForCausalLM"),
    "apertus": ("apertus", "ApertusConfig", "ApertusForCausalLM"),
    "phimoe": ("phimoe", "PhimoeConfig", "PhimoeForCausalLM"),
    "arcee": ("arcee", "ArceeConfig", "ArceeForCausalLM"),
    "qwen2_moe": ("qwen2_moe", "Qwen2MoeConfig", "Qwen2MoeForCausalLM"),
    "glm4_moe": ("glm4_moe", "Glm4MoeConfig", "Glm4MoeForCausalLM"),
    "dots1": ("dots1", "Dots1Config", "Dots1ForCausalLM"),
    "minimax_m2": ("minimax_m2", "MiniMaxM2Config", "MiniMaxM2ForCausalLM"),
    "gpt_oss": ("gpt_oss", "GptOssConfig", "GptOssForCausalLM"),
    "deepseek_v2": ("deepseek_v2", "DeepseekV2Config", "DeepseekV2ForCausalLM"),
    "deepseek_v3": ("deepseek_v3", "DeepseekV3Config", "DeepseekV3ForCausalLM"),
    "glm4_moe_lite": ("glm4_moe_lite", "Glm4MoeLiteConfig", "Glm4MoeLiteForCausalLM"),
    "ernie4_5_moe": ("ernie4_5_moe", "Ernie4_5_MoeConfig", "Ernie4_5_MoeForCausalLM"),
    "youtu": ("youtu", "YoutuConfig", "YoutuForCausalLM"),
    "solar_open": ("solar_open", "SolarOpenConfig", "SolarOpenForCausalLM"),
    "hunyuan_v1_moe": ("hunyuan_v1_moe", "HunYuanMoEV1Config", "HunYuanMoEV1ForCausalLM"),
    "deepseek_v32": ("deepseek_v32", "DeepseekV32Config", "DeepseekV32ForCausalLM"),
    "glm_moe_dsa": ("glm_moe_dsa", "GlmMoeDsaConfig", "GlmMoeDsaForCausalLM"),
    "exaone_moe": ("exaone_moe", "ExaoneMoeConfig", "ExaoneMoeForCausalLM"),
    "flex_olmo": ("flex_olmo", "FlexOlmoConfig", "FlexOlmoForCausalLM"),
    "hy_v3": ("hy_v3", "HYV3Config", "HYV3ForCausalLM"),
    "granitemoeshared": ("granitemoeshared", "GraniteMoeSharedConfig", "GraniteMoeSharedForCausalLM"),
    "mellum": ("mellum", "MellumConfig", "MellumForCausalLM"),
    "helium": ("helium", "HeliumConfig", "HeliumForCausalLM"),
    "cwm": ("cwm", "CwmConfig", "CwmForCausalLM"),
    "ministral": ("ministral", "MinistralConfig", "MinistralForCausalLM"),
    "vaultgemma": ("vaultgemma", "VaultGemmaConfig", "VaultGemmaForCausalLM"),
    "hyperclovax": ("hyperclovax", "HyperCLOVAXConfig", "HyperCLOVAXForCausalLM"),
    "minicpm3": ("minicpm3", "MiniCPM3Config", "MiniCPM3ForCausalLM"),
    "jais2": ("jais2", "Jais2Config", "Jais2ForCausalLM"),
    "lfm2": ("lfm2", "Lfm2Config", "Lfm2ForCausalLM"),
    "qwen3_next": ("qwen3_next", "Qwen3NextConfig", "Qwen3NextForCausalLM"),
    "qwen3_5_text": ("qwen3_5", "Qwen3_5TextConfig", "Qwen3_5ForCausalLM"),
    "qwen3_5_moe_text": ("qwen3_5_moe", "Qwen3_5MoeTextConfig", "Qwen3_5MoeForCausalLM"),
    "lfm2_moe": ("lfm2_moe", "Lfm2MoeConfig", "Lfm2MoeForCausalLM"),
    "nemotron_h": ("nemotron_h", "NemotronHConfig", "NemotronHForCausalLM"),
    "mamba2": ("mamba2", "Mamba2Config", "Mamba2ForCausalLM"),
    "bamba": ("bamba", "BambaConfig", "BambaForCausalLM"),
    "falcon_h1": ("falcon_h1", "FalconH1Config", "FalconH1ForCausalLM"),
    "afmoe": ("afmoe", "AfmoeConfig", "AfmoeForCausalLM"),
    "flint": ("flint", "FlintConfig", "FlintForCausalLM"),
    "granite_swa": ("granite_swa", "GraniteSWAConfig", "GraniteSWAForCausalLM"),
    "granitemoe_swa": ("granitemoe_swa", "GraniteMoeSWAConfig", "GraniteMoeSWAForCausalLM"),
    "cohere2_moe": ("cohere2_moe", "Cohere2MoeConfig", "Cohere2MoeForCausalLM"),
    "nanochat": ("nanochat", "NanoChatConfig", "NanoChatForCausalLM"),
    "biogpt": ("biogpt", "BioGptConfig", "BioGptForCausalLM"),
    "codegen": ("codegen", "CodeGenConfig", "CodeGenForCausalLM"),
    "gemma3n_text": ("gemma3n", "Gemma3nTextConfig", "Gemma3nForCausalLM"),
    "gemma4_text": ("gemma4", "Gemma4TextConfig", "Gemma4ForCausalLM"),
    "gemma4_unified_text": ("gemma4_unified", "Gemma4UnifiedTextConfig", "Gemma4UnifiedForCausalLM"),
}

# Shared files that are followed. Not generation: what it reads chooses tokens and makes no logits.
SHARED = [
    "configuration_utils", "modeling_utils", "modeling_rope_utils", "modeling_layers", "masking_utils", "cache_utils",
    "quantizers/auto", "integrations/moe", "integrations/sdpa_attention", "integrations/heterogeneity/configuration_utils",
]

# What is never followed: training, other heads, saving, and multi-token prediction, which transformers
# builds only for assisted generation.
NOT_FOLLOWED = {
    "GenerationMixin", "GenerationConfig", "PushToHubMixin", "PeftAdapterMixin", "MTPCandidateGenerator",
    "MtpModel", "MtpLayer", "StaticCache", "QuantizedCache", "StaticLayer", "StaticSlidingWindowLayer",
}
NOT_METHODS = {
    "save_pretrained", "push_to_hub", "to_dict", "to_diff_dict", "to_json_string", "to_json_file", "get_mtp_config",
    "_get_generation_parameters", "resize_token_embeddings", "_init_weights", "register_for_auto_class",
    "_remove_keys_not_serialized", "dict_dtype_to_str", "resize_position_embeddings", "gradient_checkpointing_enable",
    "get_config_dict", "_get_config_dict", "from_dict", "torch_dtype", "use_return_dict",
}

CONFIGS = {"config", "text_config", "layer_config", "effective_config", "decoder_config", "config_to_return"}
ROPES = {"rope_parameters", "rope_parameters_dict", "rope_scaling"}


def base_name(node):
    """The last name of a.b.c, or None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return None


def constant(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


class Reads(ast.NodeVisitor):
    """Collects what a piece of code reads of a configuration; own: it belongs to its class."""

    def __init__(self, own, fields, methods):
        self.own, self.fields, self.methods, self.keys, self.names = own, fields, methods, set(), set()

    def is_config(self, node):
        if isinstance(node, ast.Call):  # config.get_text_config(...)
            return isinstance(node.func, ast.Attribute) and node.func.attr == "get_text_config"
        name = base_name(node)
        return name in CONFIGS or self.own and name == "self" and isinstance(node, ast.Name)

    def is_rope(self, node):
        if isinstance(node, ast.Subscript):  # rope_parameters[layer_type]
            node = node.value
        return base_name(node) in ROPES

    def attribute(self, key):
        if key not in self.methods:
            self.keys.add(key)

    def visit_Name(self, node):
        self.names.add(node.id)

    def visit_Attribute(self, node):
        self.names.add(node.attr)
        if self.is_config(node.value):
            known = not self.own or base_name(node.value) != "self" or node.attr in self.fields
            if known and isinstance(node.ctx, ast.Load):
                self.attribute(node.attr)
        self.generic_visit(node)

    def visit_Subscript(self, node):
        key = constant(node.slice)
        if key and self.is_rope(node.value) and isinstance(node.ctx, ast.Load):
            self.keys.add("rope_parameters." + key)
        self.generic_visit(node)

    def visit_Compare(self, node):
        key = constant(node.left)
        if key and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            if self.own and base_name(node.comparators[0]) == "kwargs":
                self.keys.add(key)
            if self.is_rope(node.comparators[0]):
                self.keys.add("rope_parameters." + key)
        self.generic_visit(node)

    def visit_Call(self, node):
        f, args = node.func, node.args
        if isinstance(f, ast.Name) and f.id in ("getattr", "hasattr") and len(args) > 1:
            key = constant(args[1])
            if key and self.is_config(args[0]):
                self.attribute(key)
        if isinstance(f, ast.Attribute) and f.attr in ("pop", "get", "setdefault") and args:
            key = constant(args[0])
            if key and self.own and base_name(f.value) == "kwargs":
                self.keys.add(key)
            if key and self.is_rope(f.value):
                self.keys.add("rope_parameters." + key)
        self.generic_visit(node)


class Module:
    """A source file: its definitions, and from which files its other names come."""

    def __init__(self, path):
        self.path, self.defs, self.imports = path, {}, {}
        for node in ast.parse((ROOT / (path + ".py")).read_text()).body:
            self.define(node)

    def define(self, node):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            self.defs[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    self.defs[target.id] = node
        elif isinstance(node, ast.ImportFrom) and node.level:
            parent = pathlib.PurePosixPath(self.path)
            for _ in range(node.level):
                parent = parent.parent
            path = str(parent / (node.module or "").replace(".", "/")).removeprefix("./")
            for alias in node.names:
                self.imports[alias.asname or alias.name] = (path, alias.name)
        elif isinstance(node, (ast.If, ast.Try)):
            for child in node.body:
                self.define(child)


modules = {}


def module(path):
    if path not in modules:
        modules[path] = Module(path) if (ROOT / (path + ".py")).exists() else None
    return modules[path]


def pieces(node):
    """The parts of a definition that are followed: of a class, all but NOT_METHODS."""
    if not isinstance(node, ast.ClassDef):
        return [("", node)]
    parts = [("", e) for e in node.bases + node.decorator_list]
    for child in node.body:
        if isinstance(child, ast.FunctionDef):
            if child.name not in NOT_METHODS:
                parts.append(("." + child.name, child))
        else:
            parts.append(("", child))
    return parts


def of_configuration(node):
    """Whether a class is a configuration's, or one that these derive from."""
    return node.name.endswith(("Config", "ConfigMixin")) or any(base_name(b) == "PreTrainedConfig" for b in node.bases)


def reads(files, starts, fields, methods):
    """Keys and the places that read them."""
    found, todo, done = {}, list(starts), set()
    while todo:
        path, name = todo.pop()
        if (path, name) in done or name in NOT_FOLLOWED:
            continue
        done.add((path, name))
        mod = module(path)
        if mod is None:
            continue
        if name not in mod.defs:
            if name in mod.imports and mod.imports[name][0] in files:
                todo.append(mod.imports[name])
            elif name in mod.imports and module(mod.imports[name][0] + "/__init__") is not None:
                inner = module(mod.imports[name][0] + "/__init__")
                if name in inner.imports and inner.imports[name][0] in files:
                    todo.append(inner.imports[name])
            continue
        node = mod.defs[name]
        own = isinstance(node, ast.ClassDef) and of_configuration(node)
        for suffix, part in pieces(node):
            visitor = Reads(own, fields, methods)
            visitor.visit(part)
            for key in visitor.keys:
                found.setdefault(key, set()).add((path, f"{path.rsplit('/', 1)[-1]}.{name}{suffix}"))
            todo += [(path, n) for n in visitor.names]
    return found


def plain(value):
    """A default as JSON; None if it is made anew for each configuration."""
    return None if value is dataclasses.MISSING or not isinstance(value, (str, int, float, bool, list, dict)) else value


def family(directory, config_name, model_name):
    base = f"models/{directory}"
    names = (f"{base}/configuration_{directory}", f"{base}/modeling_{directory}")
    cls = getattr(importlib.import_module("transformers." + names[0].replace("/", ".")), config_name)
    fields = {f.name: plain(f.default) for f in dataclasses.fields(cls)}
    methods = {m for m in dir(cls) if callable(getattr(cls, m, None)) or isinstance(getattr(cls, m, None), property)}
    methods -= set(fields)
    methods |= {"is_heterogeneous", "sub_configs", "attribute_map", "per_layer_attributes"} - set(fields)
    found = reads({*names, *SHARED}, [(names[0], config_name), (names[1], model_name)], fields, methods)
    keys, shared = {k: [] for k in [*fields, *cls.attribute_map]}, {}
    for key, places in sorted(found.items()):
        if key.startswith("_") or "._" in key:
            continue  # transformers' own notes
        own = sorted(where for path, where in places if path in names)
        if own:
            keys[key] = own[:2]
        if len(own) < len(places):
            shared[key] = sorted(where for path, where in places if path not in names)[:2]
    theta = cls.default_theta
    return {
        "model": model_name, "aliases": dict(cls.attribute_map), "defaults": fields,
        "default_theta": theta if isinstance(theta, dict) else {"": theta}, "keys": keys, "shared": shared,
    }


def activations():
    node = Module("activations").defs["ACT2CLS"].value
    return sorted(k.value for k in node.keys)


def causal():
    """The values of model_type that transformers knows a model with logits of the next token for."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def dump(value, depth):
    """JSON with a line for each member, down to depth."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value)
    return "{\n" + ",\n".join(f"{json.dumps(k)}: {dump(v, depth - 1)}" for k, v in value.items()) + "\n}"


def make_keys():
    table = {name: family(*what) for name, what in FAMILIES.items()}
    where = {}
    for f in table.values():
        where |= f["shared"]
        f["shared"] = sorted(f["shared"])
    return dump({"families": table, "where": where, "activations": activations(), "causal": causal()}, 4)


DOCUMENTS = [
    "{}", " \t\r\n{ } \n", '{"a": 1}', '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2, "b": 3}, "a": {"c": 4}}', '{"a": [{"b": 1, "b": 2}]}',
    '{"a": NaN}', '{"a": Infinity, "b": -Infinity}', '{"a": [1, Infinity, {"b": NaN}]}', '{"a": "NaN", "b": "x\\"Infinity"}',
    '{"a": "\\\\", "b": NaN}', '{"NaN": NaN, "Infinity": 1}', '{"a": nan}', '{"a": -NaN}', '{"a": +Infinity}', '{"a": Inf}',
    '{"a": 1Infinity}', '{"a": - Infinity}', '{"a": --Infinity}', '{"a": InfinityNaN}', '{"a": Infinity 1}', '{NaN: 1}', '{"a" NaN}', "NaN",
    '{"a": 1e400, "b": -1e400, "c": 1e-400}', '{"a": 1E+999}', '{"a": ' + "9" * 330 + "}", '{"a": ' + "9" * 330 + ".5}", '{"a": -0, "b": -0.0}',
    '{"a": 01}', '{"a": 1.}', '{"a": .5}', '{"a": 0x1}', '{"a": 1_000}', '{"a": +1}', '{"a": 1e5, "b": 1E-2, "c": 100000}',
    r'{"a": "\ud800"}', r'{"a": "\udc00\ud800"}', r'{"a": "\ud83d\ude00"}', r'{"\ud800": 1}', r'{"a": "\ud83dx\ude00"}', r'{"a": "\u00e9\u0000"}',
    r'{"a": "\x41"}', r'{"a": "\u12"}', r'{"a": "\u12G4"}', '{"a": "\t"}', '{"a": "\n"}', '{"a": "\x7f\x80"}', "{'a': 1}", '{"a": "é\U0001f600"}',
    '{"a": 1,}', '{"a": [1,]}', '{,}', '{"a"}', '{"a": }', '{"a": 1 "b": 2}', '{"a": 1} {}', '{"a": 1}x', "{", '{"a": [1', '{"a": "x', "",
    "   ", "null", "[]", '"x"', "3", "true", "True", '{"a": True, "b": None}', '{"a": undefined}', "// no\n{}", '{"a": 1 /* no */}',
    '\ufeff{"a": 1}', '{"a": "\ufeff"}', '{"a": 1}\ufeff', '{"a":\u00a01}', '{"a": 1}\x00', '{"a": ' + "[" * 200 + "]" * 200 + "}",
    b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', '{"a": 1}'.encode("utf-16"), '{"a": "é"}'.encode("latin-1"), b'{"a": "\xc3\xa9"}',
    '{"a": {"__float__": "Infinity"}}', '{"": 1, " ": 2}', '{"a.b": 1, "a.b": 2}', '{"a": NaN, "a": 1}', '{"a": 1, "a": NaN}',
]


def mended(value):
    """A value as strict JSON: with tags for what JSON cannot write, and U+FFFD for half a surrogate pair."""
    if isinstance(value, float) and not abs(value) < float("inf"):
        return {"__float__": {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]}
    if isinstance(value, dict):
        return {mended(k): mended(v) for k, v in value.items()}
    if isinstance(value, list):
        return [mended(v) for v in value]
    if isinstance(value, str):
        return "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in value)
    return value


def make_documents():
    lines = []
    with tempfile.TemporaryDirectory() as tmp:
        path = pathlib.Path(tmp) / "config.json"
        for document in DOCUMENTS:
            data = document if isinstance(document, bytes) else document.encode("utf-8", "surrogatepass")
            path.write_bytes(data)
            case = {"document": base64.b64encode(data).decode(), "error": False}
            try:
                with open(path, encoding="utf-8") as f:
                    case["value"] = mended(json.loads(f.read()))
            except ValueError:
                case["error"] = True
            lines.append(json.dumps(case))
    return "[\n" + ",\n".join(lines) + "\n]"


if __name__ == "__main__":
    for name, text in [("config_keys.json", make_keys()), ("config_documents.json", make_documents())]:
        path = OUT / name
        path.write_text(text + "\n")
        print(path, path.stat().st_size)
