// Calls of a model that are to be refused, with what is wrong about them.
import { all } from './lib.js';

const circle = { role: 'user', content: 'x' };
circle.self = circle;
const getter = {
  get maxTokens() {
    throw new Error('a getter');
  },
};
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};
const odd = ['3', '', NaN, 3n, 1.5, -2, Symbol('x'), {}, [3], () => 1, new Date(0), true];

const options = [
  ...['maxTokens', 'topK', 'repeatLast', 'seed', 'keep'].flatMap((k) =>
    odd.filter((v) => k !== 'seed' || v !== -2).map((v) => ({ [k]: v })),
  ),
  ...['temperature', 'topP', 'minP', 'repeatPenalty'].flatMap((k) =>
    odd.filter((v) => v !== 1.5 || k === 'topP' || k === 'minP').map((v) => ({ [k]: v })),
  ),
  ...[5, {}, [''], [1]].map((stop) => ({ stop })),
  { signal: {} },
  { onToken: 5 },
  { onOverflow: 'drop' },
  { temperature: 1e300 },
  getter,
];
const messages = ['x', null, 5, {}, [], [null], ['x'], [[]], [circle], [{ role: 5, content: 'x' }], [{ role: 'user' }]];

export const badCalls = [
  ...options.map((o) => [`an option ${Object.keys(o)}`, (m) => all(m.generate('It', o))]),
  ...odd.filter((v) => typeof v !== 'object').map((v) => [`options ${String(v)}`, (m) => all(m.generate('It', v))]),
  ...odd.filter((v) => typeof v !== 'string').map((v) => [`a prompt ${String(v)}`, (m) => all(m.generate(v))]),
  ...messages.map((v) => ['messages', (m) => all(m.chat(v))]),
  ['a revoked proxy as options', (m) => all(m.generate('It', revoked()))],
  ['a revoked proxy as messages', (m) => all(m.chat(revoked()))],
  ...odd.filter((v) => typeof v !== 'string').map((v) => ['a text', (m) => m.encode(v)]),
  ...odd.filter((v) => !Array.isArray(v)).map((v) => ['a list of ids', (m) => m.decode(v)]),
  ...odd.map((v) => ['an id', (m) => m.decode([v])]),
  ...odd.map((v) => ['an index', (m) => m.logits([1, 2], v)]),
  ['logits of nothing', (m) => m.logits([], 0)],
  ['logits of too many tokens', (m) => m.logits(new Int32Array(2 ** 22), 0)],
  ['logits beyond the context', (m) => m.logits(new Int32Array(65), 64)],
  ['ids without end', (m) => m.decode({ length: 2 ** 40 })],
];
