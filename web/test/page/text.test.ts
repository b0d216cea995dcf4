import assert from 'node:assert/strict';
import test from 'node:test';
import { plain, safeLink } from '../../page/chat/links.js';
import { split } from '../../page/chat/thinking.js';
import { events } from '../../page/engine/sse.js';
import { addressOf } from '../../page/model/address.js';
import { saved, withPrompt } from '../../page/settings/prompts.js';
import { defaults, restore, wrong } from '../../page/settings/settings.js';

test('thoughts are split off, however the text comes', () => {
  const cases: [string, string, string][] = [
    ['plain', '', 'plain'],
    ['<think>\nhm\n</think>\n\nYes', 'hm', 'Yes'],
    ['hm\n</think>\nYes', 'hm', 'Yes'], // the template has opened the tag
    ['<think>\n\n</think>\n\nYes', '', 'Yes'],
    ['<thinking>a</thinking>b', 'a', 'b'],
    ['Use <think> and </think>', '', 'Use <think> and </think>'],
    ['a < b', '', 'a < b'],
  ];
  for (const [text, reasoning, rest] of cases) {
    assert.deepEqual(split(text), { reasoning, text: rest, thinking: false }, text);
    for (let n = 0; n < text.length; n++)
      assert.ok(!/<\/?thi?n?k?$/.test(split(text.slice(0, n)).reasoning), text.slice(0, n));
  }
  assert.deepEqual(split('<think>half'), { reasoning: 'half', text: '', thinking: true });
  assert.deepEqual(split('<thi'), { reasoning: '', text: '', thinking: true });
});

test('only http, https and mailto are links', () => {
  for (const bad of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' javascript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'blob:x',
    'file:///etc/passwd',
    '/x',
    '#x',
    '//x.y',
    'x',
    '',
  ])
    assert.equal(safeLink(bad), undefined, bad);
  assert.equal(safeLink('https://x.y/z'), 'https://x.y/z');
  assert.equal(safeLink('mailto:a@b.c'), 'mailto:a@b.c');
  assert.equal(
    plain('a &lt;b&gt; &amp;lt; &#39; &#x41; &#0; &#x110000; &nope; &'),
    "a <b> &lt; ' A &#0; &#x110000; &nope; &",
  );
});

test('server-sent events are read wherever they are cut', async () => {
  const text = ': alive\n\ndata: {"a":"é"}\r\n\r\nevent: x\ndata: 1\ndata: 2\n\ndata: [DONE]';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const body = new ReadableStream<Uint8Array>({
      start(c) {
        for (let i = 0; i < bytes.length; i += size) c.enqueue(bytes.slice(i, i + size));
        c.close();
      },
    });
    const got: string[] = [];
    for await (const e of events(body)) got.push(e);
    assert.deepEqual(got, ['{"a":"é"}', '1\n2', '[DONE]']);
  }
});

test('an address that is none says what to do', () => {
  const at = 'http://localhost:8080/';
  const refused: [string, RegExp][] = [
    ['', /manifest\.json/],
    ['  ', /manifest\.json/],
    ['HuggingFaceTB/SmolLM2-135M', /llama-webgpu fetch HuggingFaceTB\/SmolLM2-135M .*\n.*quantize .*\n.*serve/],
    ['Qwen/Qwen3-0.6B-GGUF:Q8_0', /fetch Qwen\/Qwen3-0\.6B-GGUF:Q8_0/],
    ['https://huggingface.co/openai-community/gpt2', /fetch openai-community\/gpt2/],
    ['https://huggingface.co/openai-community/gpt2/tree/main', /fetch openai-community\/gpt2/],
    ['huggingface.co/openai-community/gpt2', /fetch openai-community\/gpt2/],
    ['https://hf.co/a/b', /fetch a\/b/],
    ['C:\\models\\x', /Open a folder/],
    ['~/models/x', /Open a folder/],
    ['file:///models/x', /Open a folder/],
    ['ftp://x.y/z', /ftp:/],
    ['https://', /not an address/],
  ];
  for (const [text, why] of refused) assert.throws(() => addressOf(text, at), why, text);
  const taken: [string, string][] = [
    ['models/int4/manifest.json', 'http://localhost:8080/models/int4/manifest.json'],
    ['models/int4', 'http://localhost:8080/models/int4'],
    ['/models/int4/', 'http://localhost:8080/models/int4/'],
    [' https://x.y/z ', 'https://x.y/z'],
    ['x.example/z', 'https://x.example/z'],
    ['https://huggingface.co/a/b/resolve/main/manifest.json', 'https://huggingface.co/a/b/resolve/main/manifest.json'],
    ['https://huggingface.co/a/b/blob/main/manifest.json', 'https://huggingface.co/a/b/resolve/main/manifest.json'],
  ];
  for (const [text, url] of taken) assert.equal(addressOf(text, at), url);
  assert.throws(() => addressOf('http://x.example/z', 'https://page.example/'), /secure/);
  assert.equal(addressOf('http://localhost:1/z', 'https://page.example/'), 'http://localhost:1/z');
});

test('saved prompts are those that make sense, each once', () => {
  assert.deepEqual(saved(null), []);
  assert.deepEqual(saved('{'), []);
  assert.deepEqual(saved('{"a": 1}'), []);
  assert.deepEqual(saved('["a", 1, " ", "b"]'), ['a', 'b']);
  assert.deepEqual(withPrompt(['a', 'b'], 'b'), ['b', 'a']);
  assert.deepEqual(withPrompt(['a'], ' '), ['a']);
});

test('settings are restored as far as they make sense', () => {
  assert.deepEqual(restore(null), defaults);
  assert.deepEqual(restore('nonsense'), defaults);
  assert.deepEqual(restore('null'), defaults);
  const s = restore(
    '{"temperature": 1.5, "topK": "many", "seed": 7, "form": "poem", "reasoningEffort": "much", "unknown": 1}',
  );
  assert.deepEqual(s, { ...defaults, temperature: 1.5, seed: 7 });
  assert.equal(wrong(defaults), undefined);
  assert.match(wrong({ ...defaults, form: 'schema', schema: '{' })!, /not JSON/);
  assert.match(wrong({ ...defaults, useTools: true, tools: '{}' })!, /a list/);
  assert.match(wrong({ ...defaults, useTools: true, tools: '[{}]' })!, /entry 1/);
  assert.match(wrong({ ...defaults, useTools: true, form: 'json' })!, /exclude/);
  assert.match(wrong({ ...defaults, extra: '[1]' })!, /an object/);
  assert.equal(wrong({ ...defaults, extra: '{"a": 1}' }), undefined);
  assert.match(wrong({ ...defaults, form: 'grammar', grammar: 'yes' })!, /root/);
});
