// src/errors.ts
var LlamaError = class extends Error {
  code;
  constructor(code, message, options2) {
    super(message, options2);
    this.name = code === "aborted" ? "AbortError" : "LlamaError";
    this.code = code;
  }
};

// page/draw.ts
var svg = "http://www.w3.org/2000/svg";
function showChart(chart, text, times) {
  const shown = times.slice(1).slice(-120);
  if (shown.length === 0) {
    chart.replaceChildren();
    text.textContent = "";
    return;
  }
  const sorted = [...shown].sort((a, b) => a - b);
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  const most = Math.max(Math.min(at(0.98) * 1.15, at(0.5) * 3), 1);
  const width = 600 / Math.max(shown.length, 30);
  const shapes = shown.map((ms, i) => {
    const h = Math.min(1, ms / most) * 88;
    const bar = element("rect", { x: i * width, y: 90 - h, width: Math.max(1, width - 1.5), height: h, rx: 1 });
    if (ms > most) bar.setAttribute("class", "cut");
    return bar;
  });
  const y = 90 - Math.min(1, at(0.5) / most) * 88;
  shapes.push(element("line", { x1: 0, x2: 600, y1: y, y2: y }));
  chart.replaceChildren(...shapes);
  text.textContent = `\xB7 median ${at(0.5).toFixed(1)}, 95 % within ${at(0.95).toFixed(1)}, most ${at(1).toFixed(1)}`;
}
function element(name, attributes) {
  const e = document.createElementNS(svg, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, String(v));
  return e;
}
function showMemory(bar, list, memory, write2) {
  const parts = Object.entries(memory).sort((a, b) => b[1] - a[1]);
  const all = parts.reduce((n, [, b]) => n + b, 0) || 1;
  bar.replaceChildren(...parts.map(([, n], i) => {
    const piece = document.createElement("div");
    piece.className = `p${Math.min(i, 4)}`;
    piece.style.width = `${100 * n / all}%`;
    return piece;
  }));
  list.replaceChildren(...parts.map(([purpose, n], i) => {
    const item = document.createElement("li");
    const mark = document.createElement("i");
    mark.className = `p${Math.min(i, 4)}`;
    item.append(mark, `${purpose} ${write2(n)}`);
    return item;
  }));
}

// page/parity.ts
var bound = 1e-3;
function compare(reference, logits, tokens) {
  if (reference.length !== logits.length) throw new Error(`${logits.length} logits here, ${reference.length} on the server`);
  const vocab = reference.length / tokens;
  const p = { maxAbs: 0, relRMS: 0, kld: 0, same: 0, pass: false };
  let error = 0;
  let power = 0;
  for (let t = 0; t < tokens; t++) {
    const a = reference.subarray(t * vocab, (t + 1) * vocab);
    const b = logits.subarray(t * vocab, (t + 1) * vocab);
    for (let i = 0; i < vocab; i++) {
      const d = b[i] - a[i];
      p.maxAbs = Math.max(p.maxAbs, Math.abs(d));
      error += d * d;
      power += a[i] * a[i];
    }
    p.kld += divergence(a, b) / tokens;
    if (largest(a) === largest(b)) p.same++;
  }
  p.relRMS = Math.sqrt(error / power);
  p.pass = p.relRMS <= bound;
  return p;
}
function largest(x) {
  return x.reduce((best, v, i) => v > x[best] ? i : best, 0);
}
function divergence(a, b) {
  const ma = a[largest(a)];
  const mb = b[largest(b)];
  let za = 0;
  let zb = 0;
  let s = 0;
  for (let i = 0; i < a.length; i++) {
    const e = Math.exp(a[i] - ma);
    za += e;
    zb += Math.exp(b[i] - mb);
    s += e * (a[i] - ma - (b[i] - mb));
  }
  return Math.max(0, s / za - Math.log(za) + Math.log(zb));
}

// page/app.ts
var base = "./llama-webgpu/";
var { load } = await import(`${base}worker.js`);
var { cachedModels: listCached, deleteCached: forgetCached } = await import(`${base}index.js`);
var $ = (id) => document.getElementById(id);
var input = (id) => $(id);
var button = (id) => $(id);
var listing = { models: [], reference: false };
var model;
var modelUrl = "";
var ender;
var talk = [];
function bytes(n) {
  const units = ["B", "kB", "MB", "GB"];
  let i = 0;
  for (; n >= 1e3 && i < 3; i++) n /= 1e3;
  return `${n.toFixed(n < 10 && i > 0 ? 1 : 0)} ${units[i]}`;
}
var titles = {
  "corrupt": "The model is damaged",
  "not-found": "There is no such model",
  "network": "The server does not answer",
  "out-of-memory": "The GPU has not enough memory",
  "too-large": "The model is too large for this GPU",
  "device-lost": "The GPU has gone away",
  "unsupported-version": "The model is of another version",
  "invalid-argument": "That cannot be done",
  "webgpu-unavailable": "There is no WebGPU",
  "no-adapter": "There is no GPU"
};
function complain(e) {
  const error = e;
  if (error.code === "aborted") return;
  $("alert-title").textContent = titles[error.code] ?? "Something went wrong";
  $("alert-text").textContent = error.message;
  $("alert").hidden = false;
}
function facts(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, value, look]) => {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value;
    if (look) dd.className = look;
    return [dt, dd];
  }));
  list.hidden = false;
}
async function lookForGPU() {
  const gpu = navigator.gpu;
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) {
    const { vendor, architecture, device, description } = adapter.info;
    const name = description || [vendor, architecture, device].filter(Boolean).join(" ") || "a GPU";
    const has = [...["shader-f16", "subgroups"]].filter((f) => adapter.features.has(f));
    $("adapter").textContent = `${name} \xB7 bindings to ${bytes(adapter.limits.maxStorageBufferBindingSize)}${has.length ? ` \xB7 ${has.join(", ")}` : ""}`;
    return true;
  }
  $("adapter").textContent = "No GPU";
  $("missing-why").textContent = !isSecureContext ? `WebGPU works on secure pages only: https, or localhost. This page is ${location.origin}.` : gpu ? "WebGPU is here, but the browser offers no GPU: its driver may be blocked, or hardware acceleration turned off." : "WebGPU is the way for pages to compute on the GPU. Here it is missing, or turned off.";
  $("missing").hidden = false;
  $("main").hidden = true;
  return false;
}
async function listModels() {
  const response = await fetch("models.json").catch(() => void 0);
  if (response?.ok) listing = await response.json();
  const select = $("model");
  select.replaceChildren(...listing.models.map((m) => new Option(`${m.title} \xB7 ${bytes(m.bytes)}`, `models/${m.name}/manifest.json`)), new Option("Another address \u2026", ""));
  chosen();
}
function chosen() {
  $("url-row").hidden = $("model").value !== "";
  void showKept();
}
function wantedUrl() {
  return new URL($("model").value || input("url").value, location.href).href;
}
async function showKept() {
  const kept = await listCached().catch(() => []);
  button("forget").hidden = !kept.some((m) => m.url === safely(wantedUrl));
}
function safely(f) {
  try {
    return f();
  } catch {
    return void 0;
  }
}
async function loadModel() {
  $("alert").hidden = true;
  await model?.dispose();
  model = void 0;
  ender = new AbortController();
  busy("loading");
  try {
    modelUrl = wantedUrl();
    model = await load(modelUrl, { signal: ender.signal, onProgress: showProgress });
    const { info } = model;
    const stats = await model.stats();
    const { where, reason } = info.cache;
    facts($("facts"), [
      ["Format", `${info.format}${info.block ? `, blocks of ${info.block}` : ""}`],
      ["Layers", String(info.layers)],
      ["Context", info.context ? `${info.context} tokens` : "not said"],
      ["Weights", bytes(info.bytes)],
      ["Kernels", kernelsOf(stats)],
      ["Kept", where === "none" ? `no: ${reason ?? ""}` : where === "opfs" ? "in this browser" : "in the browser\u2019s cache"]
    ]);
    $("chat-row").hidden = !info.hasChat;
    startOver();
    $("progress-box").hidden = true;
    const hint = document.querySelector(".output .empty");
    if (hint) hint.textContent = "The model is loaded. What it writes appears here.";
    showStats(stats);
  } catch (e) {
    $("progress-box").hidden = true;
    complain(e);
  } finally {
    busy();
    void showKept();
  }
}
function kernelsOf(s) {
  const chosen2 = s.kernels.filter((k) => k.chosen).map((k) => `${k.packing}: ${k.kernel.replace(/^matvec_/, "")}, ${k.speed.toFixed(1)}\xD7 as fast`);
  return chosen2.join("; ") || "baseline";
}
function showProgress(p) {
  const there2 = Math.min(p.total, Math.max(p.loaded, p.received));
  $("progress").value = there2 / p.total;
  const left = p.rate > 0 ? ` \xB7 ${Math.ceil((p.total - there2) / p.rate)} s left` : "";
  $("progress-text").textContent = there2 < p.total ? `${bytes(there2)} of ${bytes(p.total)} \xB7 ${bytes(p.rate)}/s${left}${p.received === 0 ? " \xB7 from storage" : ""}` : "Making room for the text \u2026";
}
function busy(what) {
  button("load").disabled = what !== void 0;
  button("cancel").hidden = what !== "loading";
  if (what === "loading") {
    $("progress-box").hidden = false;
    $("facts").hidden = true;
    $("progress").value = 0;
    $("progress-text").textContent = "Asking the server \u2026";
  }
  button("generate").disabled = !model || what !== void 0;
  button("stop-button").disabled = what !== "writing";
  button("parity").disabled = !model || what !== void 0;
  $("output").classList.toggle("busy", what === "writing");
  document.body.dataset["state"] = what ?? (model ? "ready" : "empty");
}
var question = "Why is the sky blue?";
var beginning = $("prompt").value;
function asks() {
  return Boolean(model?.info.hasChat) && input("chat").checked;
}
function showPurpose() {
  const prompt = $("prompt");
  $("prompt-label").textContent = asks() ? "Ask" : "Begin with";
  if ([question, beginning].includes(prompt.value)) prompt.value = asks() ? question : beginning;
  button("restart").hidden = talk.length === 0;
}
function startOver() {
  if (talk.length > 0) $("output").replaceChildren();
  talk = [];
  showPurpose();
}
function open(prompt, chat) {
  const before = document.createElement("span");
  before.className = "prompt";
  before.textContent = chat ? `${talk.length > 0 ? "\n\n" : ""}${prompt}
` : prompt;
  const text = document.createTextNode("");
  if (talk.length === 0) $("output").replaceChildren();
  $("output").append(before, text);
  return text;
}
function options() {
  const n = (id) => Number(input(id).value);
  return {
    maxTokens: Math.max(1, n("maxTokens") || 128),
    temperature: n("temperature"),
    topK: n("topK"),
    topP: n("topP"),
    minP: n("minP"),
    repeatPenalty: n("repeatPenalty"),
    ...input("seed").value === "" ? {} : { seed: n("seed") },
    stop: input("stop").value ? [input("stop").value] : []
  };
}
async function write() {
  if (!model || button("generate").disabled) return;
  $("alert").hidden = true;
  ender = new AbortController();
  const prompt = $("prompt").value;
  const output = $("output");
  const chat = asks();
  if (chat && prompt.trim() === "") return;
  if (!chat) startOver();
  const messages = [...talk, { role: "user", content: prompt }];
  const text = open(prompt, chat);
  output.scrollTop = output.scrollHeight;
  busy("writing");
  const times = [];
  const begun = performance.now();
  const onToken = ({ ms }) => {
    times.push(ms);
    $("count").textContent = String(times.length);
    if (times.length === 1) $("first").textContent = `${(ms / 1e3).toFixed(2)} s`;
    else $("rate").textContent = (1e3 * (times.length - 1) / (performance.now() - begun - times[0])).toFixed(1);
    $("chart-figure").hidden = false;
    showChart($("chart"), $("chart-text"), times);
  };
  $("rate").textContent = $("first").textContent = $("count").textContent = "\u2013";
  const all = { ...options(), signal: ender.signal, onToken };
  try {
    const pieces = chat ? model.chat(messages, all) : model.generate(prompt, all);
    for await (const piece of pieces) {
      const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
      text.data += piece;
      if (atEnd) output.scrollTop = output.scrollHeight;
    }
  } catch (e) {
    complain(e);
  }
  if (chat && text.data) {
    talk = [...messages, { role: "assistant", content: text.data }];
    $("prompt").value = "";
  }
  showPurpose();
  busy();
  if (model) showStats(await model.stats());
}
function showStats(s) {
  $("memory").textContent = bytes(s.memoryBytes);
  $("memory-figure").hidden = false;
  showMemory($("memory-bar"), $("memory-list"), s.memory, bytes);
}
var sampleText = "The sea was calm that evening, and the little boat lay still.";
async function checkParity() {
  if (!model) return;
  $("alert").hidden = true;
  busy("checking");
  const name = /\/models\/([^/]+)\/manifest\.json$/.exec(modelUrl)?.[1];
  facts($("parity-result"), [["Computing", "here and on the server \u2026"]]);
  try {
    const tokens = Array.from(await model.encode(sampleText)).slice(0, 16);
    const [here, response] = await Promise.all([
      model.logits(tokens, 0),
      fetch(`reference/${name}`, { method: "POST", body: JSON.stringify(tokens) })
    ]);
    if (!response.ok) throw new LlamaError("network", `The server computes no reference: ${await response.text()}`);
    const r = compare(new Float32Array(await response.arrayBuffer()), here, tokens.length);
    facts($("parity-result"), [
      ["Result", r.pass ? "\u2713 the same, up to rounding" : "\u2717 not the same", r.pass ? "good" : "bad"],
      ["Relative RMS", `${r.relRMS.toExponential(1)} of 1e-3`],
      ["Largest |\u0394|", r.maxAbs.toExponential(1)],
      ["KL divergence", `${r.kld.toExponential(1)} nats`],
      ["Same top token", `${r.same} of ${tokens.length}`]
    ]);
  } catch (e) {
    $("parity-result").hidden = true;
    complain(e);
  }
  busy();
}
for (const control of document.querySelectorAll(".controls input")) {
  const show = () => {
    const v = Number(control.value);
    const off = control.id === "topK" && v === 0 || control.id === "topP" && v === 1 || control.id === "repeatPenalty" && v === 1 || control.id === "minP" && v === 0;
    document.querySelector(`output[for=${control.id}]`).textContent = off ? "off" : control.id === "temperature" && v === 0 ? "greedy" : control.value;
  };
  control.addEventListener("input", show);
  show();
}
$("model").addEventListener("change", chosen);
$("load").addEventListener("click", () => void loadModel());
$("cancel").addEventListener("click", () => ender?.abort());
$("forget").addEventListener("click", () => void forgetCached(wantedUrl()).then(showKept, complain));
$("chat").addEventListener("change", startOver);
$("restart").addEventListener("click", startOver);
$("generate").addEventListener("click", () => void write());
$("stop-button").addEventListener("click", () => ender?.abort());
$("parity").addEventListener("click", () => void checkParity());
$("alert-close").addEventListener("click", () => {
  $("alert").hidden = true;
});
document.addEventListener("keydown", (e) => {
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) void write();
  if (e.key === "Escape") ender?.abort();
});
if (matchMedia("(max-width: 800px)").matches) $("sampling").open = false;
busy();
document.body.dataset["state"] = "starting";
var there = await lookForGPU();
await listModels();
$("parity-card").hidden = !listing.reference;
document.body.dataset["state"] = there ? "empty" : "missing";
